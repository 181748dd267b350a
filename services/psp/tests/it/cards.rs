use std::time::Duration;

use anyhow::Result;
use psp::Faults;
use tokio::time::{Instant, timeout};

use crate::client::{ApiClient, FOREVER, INTENTS, Provider, intent};

const A_WHILE: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn visa_is_authorised_and_captured() -> Result<()> {
    let client = Provider::start().await?.client;
    let created = client.post(INTENTS, Some("k"), &intent("pm_card_visa", "order-1")).await?;
    assert_eq!((created.status, &created.body["status"]), (200, &"requires_capture".into()));
    assert_eq!((&created.body["amount_capturable"], &created.body["amount_captured"]), (&4200.into(), &0.into()));
    assert_eq!(client.books().await?, (0, 0, 1, 4200));

    let captured = client.capture(&created.id()?, "c").await?;
    assert_eq!((captured.status, &captured.body["status"]), (200, &"succeeded".into()));
    assert_eq!((&captured.body["amount_capturable"], &captured.body["amount_captured"]), (&0.into(), &4200.into()));
    assert_eq!(client.books().await?, (4200, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn the_declined_card_reserves_nothing_and_is_on_record() -> Result<()> {
    let client = Provider::start().await?.client;
    let declined = client.post(INTENTS, Some("k"), &intent("pm_card_declined", "order-1")).await?;
    assert_eq!(declined.error(), (402, "card_error", "card_declined", ""));
    assert_eq!(client.books().await?, (0, 0, 0, 0));
    let on_record = client.intents_of("order-1").await?;
    assert_eq!(on_record.len(), 1);
    assert_eq!(on_record[0], declined.body["error"]["payment_intent"]);
    assert_eq!(on_record[0]["status"], "requires_payment_method");
    Ok(())
}

#[tokio::test]
async fn a_failed_capture_leaves_an_authorisation_that_can_be_cancelled() -> Result<()> {
    let client = Provider::start().await?.client;
    let id = client.authorize("pm_card_capture_fails", "k").await?;
    for key in ["c1", "c2"] {
        assert_eq!(client.capture(&id, key).await?.error(), (402, "card_error", "card_declined", ""));
    }
    assert_eq!(client.books().await?, (0, 0, 1, 4200));
    assert_eq!(client.cancel(&id, "v").await?.body["status"], "canceled");
    assert_eq!(client.books().await?, (0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn the_slow_card_takes_its_time_and_its_key_is_in_use_meanwhile() -> Result<()> {
    let client = Provider::start_with(Faults { slow: A_WHILE, hold: FOREVER }).await?.client;
    let body = intent("pm_card_slow", "order-1");
    let start = Instant::now();
    let (one, two) = tokio::try_join!(client.post(INTENTS, Some("k"), &body), client.post(INTENTS, Some("k"), &body),)?;
    assert!(start.elapsed() >= A_WHILE);
    let (done, refused) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!(refused.error(), (409, "idempotency_error", "idempotency_key_in_use", ""));
    assert_eq!((done.status, done.replayed), (200, false));

    let again = client.post(INTENTS, Some("k"), &body).await?;
    assert_eq!((again.status, again.replayed, again.body), (200, true, done.body));
    assert_eq!(client.intents_of("order-1").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_slow_card() -> Result<()> {
    let patience = Duration::from_secs(1);
    let client = Provider::start_with(Faults { slow: 2 * patience, hold: FOREVER }).await?.client;
    let hung_up = timeout(patience, client.post(INTENTS, Some("k"), &intent("pm_card_slow", "order-1"))).await;
    assert!(hung_up.is_err());
    assert_eq!(client.intents_of("order-1").await?.len(), 0);
    authorised(&client).await?;
    assert_eq!(client.books().await?, (0, 0, 1, 4200));
    Ok(())
}

#[tokio::test]
async fn after_a_time_out_the_retry_gets_the_answer_to_the_charge_that_was_made() -> Result<()> {
    for hangs_up in [true, false] {
        let client = Provider::start_with(Faults { slow: FOREVER, hold: FOREVER }).await?.client;
        let body = intent("pm_card_timeout_after_charge", "order-1");
        let held = tokio::spawn({
            let (client, body) = (client.clone(), body.clone());
            async move { client.post(INTENTS, Some("k"), &body).await }
        });
        authorised(&client).await?;
        if hangs_up {
            held.abort();
        }
        let retry = timeout(SOON, client.post(INTENTS, Some("k"), &body)).await??;
        assert_eq!((retry.status, retry.replayed), (200, true));
        assert_eq!(client.intents_of("order-1").await?, [retry.body]);
        assert_eq!(client.books().await?, (0, 0, 1, 4200));
        assert!(hangs_up || !held.is_finished(), "the first answer is still held back");
        held.abort();
    }
    Ok(())
}

/// Waits until the order's authorisation is on the provider's books, whether or not anybody has been told.
async fn authorised(client: &ApiClient) -> Result<()> {
    let seen = timeout(SOON, async {
        while client.intents_of("order-1").await?.is_empty() {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    });
    seen.await?
}

#[tokio::test]
async fn error_once_fails_the_first_request_of_each_key_before_anything_is_done() -> Result<()> {
    let client = Provider::start().await?.client;
    let body = intent("pm_card_error_once", "order-1");
    for key in ["k1", "k2"] {
        let open_before = client.intents_of("order-1").await?.len();
        let failed = client.post(INTENTS, Some(key), &body).await?;
        assert_eq!(failed.error(), (500, "api_error", "", ""));
        assert_eq!(client.intents_of("order-1").await?.len(), open_before);
        let fine = client.post(INTENTS, Some(key), &body).await?;
        assert_eq!((fine.status, fine.replayed), (200, false), "an error is not saved");
    }
    Ok(())
}
