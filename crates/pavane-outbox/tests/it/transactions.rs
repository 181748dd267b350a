use std::time::Duration;

use pavane_contract::Key;
use pavane_outbox::{Config, Correlation, Db, Decision, Emissions, Error, Failure, chain};
use sqlx::Any;

use crate::shelf::{Shelf, noted, run_dry};

#[tokio::test]
async fn of_many_decisions_about_one_saga_one_wins() {
    for shelf in Shelf::each().await {
        let saga = shelf.begin().await.saga();
        let decisions: Vec<_> = (0..8)
            .map(|number| {
                let db = shelf.db.clone();
                let emissions = vec![pavane_choreography::Emission::Outcome(vec![pavane_contract::EventRef::of::<
                    crate::shelf::Noted,
                >()])];
                tokio::spawn(async move {
                    let emissions = Emissions::new("shelf/judge", emissions);
                    let mut tx = db.begin(Correlation::of(saga), emissions).await.unwrap();
                    let outcome = tx.decide(&noted("a", &number.to_string())).await.unwrap();
                    tx.commit().await.unwrap();
                    outcome
                })
            })
            .collect();
        let mut won = 0;
        for decision in decisions {
            won += usize::from(decision.await.unwrap() == Decision::Won);
        }
        run_dry(&mut shelf.relay()).await;
        assert_eq!((won, shelf.stored().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_decision_that_rolls_back_leaves_the_saga_undecided() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        let saga = tx.saga();
        assert_eq!(tx.decide(&noted("a", "first")).await.unwrap(), Decision::Won);
        drop(tx);
        let emissions =
            vec![pavane_choreography::Emission::Outcome(vec![pavane_contract::EventRef::of::<crate::shelf::Noted>()])];
        let mut tx = shelf.db.begin(Correlation::of(saga), Emissions::new("shelf/judge", emissions)).await.unwrap();
        assert_eq!(tx.decide(&noted("a", "second")).await.unwrap(), Decision::Won);
    }
}

#[tokio::test]
async fn more_events_than_fit_one_statement_leave_in_order() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        for number in 0..2500 {
            tx.emit(&noted("a", &number.to_string())).await.unwrap();
        }
        tx.commit().await.unwrap();
        run_dry(&mut shelf.relay()).await;
        assert_eq!(shelf.stored(), (0..2500).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_postgresql_that_is_not_there_is_named_with_what_the_last_attempt_ended_with() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = Config::new("shelf", format!("postgres://me:secret@{nobody}/shelf"));
    config.acquire_timeout = Duration::from_millis(100);
    let error = Db::<Any>::open(config).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error:?}");
    assert_eq!(error.failure(), Failure::Unavailable);
    let told = chain(&error);
    assert!(told.contains(&format!("{nobody}/shelf")) && told.contains("refused"), "{told}");
    assert!(!told.contains("secret") && told.matches("refused").count() == 1, "{told}");
}

#[tokio::test]
async fn bad_input_is_a_clear_error() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        let long = tx.emit(&noted(&"k".repeat(Key::MAX_BYTES + 1), "")).await.unwrap_err();
        assert_eq!(long.to_string(), "the key of shelf.noted v1 has 257 bytes, over the limit of 256");
        // What PostgreSQL can't store as text must not break the transaction that it is emitted in.
        for odd in ["\u{0}", "\u{fffd}", "'\"\\", "\u{1f600}", ""] {
            tx.emit(&noted(odd, odd)).await.unwrap();
        }
        tx.commit().await.unwrap();
        run_dry(&mut shelf.relay()).await;
        assert_eq!(shelf.stored(), ["\u{0}", "\u{fffd}", "'\"\\", "\u{1f600}", ""]);
    }
    let url = Db::<Any>::open(Config::new("shelf", "mysql://user:secret@host/db")).await.unwrap_err();
    assert!(matches!(url, Error::Url(_)));
    assert!(!url.to_string().contains("secret"), "{url}");
}
