//! What every [`DedupeStore`] must do. Call [`all`] with a fresh store, in a test.

use std::{sync::Arc, time::Duration};

use super::{Claim, DedupeStore, Error, Held};

const LONG: Duration = Duration::from_hours(1);
/// Text that is awkward to store.
const ANSWER: &str = r#"{"id":"\u0000 'ünï'","cents":[1,2]}"#;

fn is_done(claim: Result<Claim, Error>) -> bool {
    matches!(claim, Ok(Claim::Done(answer)) if answer == ANSWER)
}

/// Runs the whole suite. `pass` lets a time pass on the store's clock.
///
/// # Panics
///
/// When the store does something that it must not.
pub async fn all<S: DedupeStore>(store: S, pass: impl Fn(Duration)) {
    let store = Arc::new(store);
    a_confirmed_key_is_done(&*store).await;
    a_held_key_is_busy(&*store).await;
    a_released_key_is_free(&*store).await;
    an_expired_claim_is_taken_over(&*store, &pass).await;
    any_key_will_do(&*store).await;
    of_many_claims_one_wins(&store).await;
}

async fn held<S: DedupeStore>(store: &S, key: &str, lease: Duration) -> Held {
    match store.claim(key, lease).await {
        Ok(Claim::Held(held)) => held,
        other => panic!("{key:?} should be free: {other:?}"),
    }
}

async fn a_confirmed_key_is_done<S: DedupeStore>(store: &S) {
    let first = held(store, "confirmed", LONG).await;
    assert_eq!(first.key(), "confirmed");
    assert!(store.confirm(first, ANSWER.to_owned()).await.is_ok());
    for _ in 0..2 {
        assert!(is_done(store.claim("confirmed", LONG).await));
    }
}

async fn a_held_key_is_busy<S: DedupeStore>(store: &S) {
    let first = held(store, "busy", LONG).await;
    match store.claim("busy", LONG).await {
        Ok(Claim::Busy { left }) => assert!(left > LONG / 2 && left <= LONG, "{left:?}"),
        other => panic!("it is held: {other:?}"),
    }
    assert!(store.confirm(first, ANSWER.to_owned()).await.is_ok(), "a failed claim must not take the key");
}

async fn a_released_key_is_free<S: DedupeStore>(store: &S) {
    let first = held(store, "released", LONG).await;
    assert!(store.release(first).await.is_ok());
    let second = held(store, "released", LONG).await;
    assert!(store.confirm(second, ANSWER.to_owned()).await.is_ok());
}

async fn an_expired_claim_is_taken_over<S: DedupeStore>(store: &S, pass: &impl Fn(Duration)) {
    let slow = held(store, "expired", Duration::from_secs(1)).await;
    let other = held(store, "expired-release", Duration::from_secs(1)).await;
    pass(Duration::from_secs(2));
    let second = held(store, "expired", LONG).await;
    let third = held(store, "expired-release", LONG).await;
    assert!(
        matches!(store.confirm(slow, ANSWER.to_owned()).await, Err(Error::Lost(_))),
        "the first claim is no longer valid"
    );
    assert!(store.release(other).await.is_ok());
    assert!(store.confirm(second, ANSWER.to_owned()).await.is_ok());
    assert!(
        store.confirm(third, ANSWER.to_owned()).await.is_ok(),
        "a late release must not free somebody else's claim"
    );
}

async fn any_key_will_do<S: DedupeStore>(store: &S) {
    for key in ["", " ", "a.b.*.>", "ключ", "'; drop table x; --", &"long".repeat(60)] {
        let claim = held(store, key, LONG).await;
        assert!(store.confirm(claim, ANSWER.to_owned()).await.is_ok(), "{key:?}");
        assert!(is_done(store.claim(key, LONG).await), "{key:?}");
    }
}

async fn of_many_claims_one_wins<S: DedupeStore>(store: &Arc<S>) {
    let claims: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { matches!(store.claim("raced", LONG).await, Ok(Claim::Held(_))) })
        })
        .collect();
    let mut winners = 0;
    for claim in claims {
        winners += usize::from(claim.await.unwrap_or(false));
    }
    assert_eq!(winners, 1);
}
