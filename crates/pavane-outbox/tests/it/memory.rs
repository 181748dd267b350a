//! How long a saga is remembered, and that nobody asks for what is forgotten.

use std::time::Duration;

use pavane_contract::{Clock as _, SagaId};
use pavane_outbox::{Correlation, Decision, Emissions, Error, Tx};

use crate::shelf::{Shelf, everything, noted, run_dry};

const DAY: Duration = Duration::from_hours(24);

async fn go_on(shelf: &Shelf, saga: SagaId) -> Tx<sqlx::Any> {
    shelf.db.begin(Correlation::of(saga), Emissions::new("shelf/test", everything())).await.unwrap()
}

async fn outcomes(shelf: &Shelf) -> i64 {
    let count = sqlx::query_scalar("select count(*) from pavane_outcome");
    count.fetch_one(shelf.db.writers()).await.unwrap()
}

#[tokio::test]
async fn a_saga_whose_outcome_is_forgotten_gets_no_second_one() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        let mut tx = shelf.begin().await;
        let saga = tx.saga();
        assert_eq!(tx.decide(&noted("a", "confirmed")).await.unwrap(), Decision::Won);
        tx.commit().await.unwrap();
        run_dry(&mut relay).await;
        shelf.pass(DAY * 44).await;
        run_dry(&mut relay).await;
        let mut tx = go_on(&shelf, saga).await;
        assert_eq!(tx.decide(&noted("a", "cancelled")).await.unwrap(), Decision::Lost, "it is remembered");
        drop(tx);
        shelf.pass(DAY * 2).await;
        run_dry(&mut relay).await;
        assert_eq!(outcomes(&shelf).await, 0, "it is forgotten");
        let mut tx = go_on(&shelf, saga).await;
        let refused = tx.decide(&noted("a", "cancelled")).await.unwrap_err();
        assert!(matches!(refused, Error::Forgotten { .. }), "{refused}");
        let refused = refused.to_string();
        assert!(refused.contains("46 days") && refused.contains("remembered for 45 days"), "{refused}");
        tx.commit().await.unwrap();
        run_dry(&mut relay).await;
        assert_eq!(shelf.stored(), ["confirmed"]);
    }
}

#[tokio::test]
async fn a_timer_that_would_outlive_its_sagas_memory_is_refused() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        let saga = tx.saga();
        tx.emit_after(DAY * 44, &noted("a", "in time")).await.unwrap();
        let refused = tx.emit_after(DAY * 45, &noted("a", "too late")).await.unwrap_err();
        assert!(matches!(refused, Error::TooLate { .. }), "{refused}");
        let refused = refused.to_string();
        assert!(refused.contains("45 days") && refused.contains("44 days at most"), "{refused}");
        drop(tx);
        shelf.pass(DAY * 30).await;
        let mut tx = go_on(&shelf, saga).await;
        let refused = tx.emit_after(DAY * 15, &noted("a", "too late")).await.unwrap_err().to_string();
        assert!(refused.contains("the saga is 30 days old") && refused.contains("13 days at most"), "{refused}");
        tx.emit_after(DAY * 13, &noted("a", "in time")).await.unwrap();
    }
}

#[tokio::test]
async fn a_saga_under_a_foreign_id_has_to_say_when_it_started() {
    for shelf in Shelf::each().await {
        let saga: SagaId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
        let begin = |correlation| shelf.db.begin(correlation, Emissions::new("shelf/test", everything()));
        let refused = begin(Correlation::of(saga)).await.unwrap_err().to_string();
        assert!(refused.contains("f81d4fae") && refused.contains("Correlation::started_at"), "{refused}");
        let started = shelf.clock.now() - DAY * 46;
        let mut old = begin(Correlation::of(saga).started_at(started)).await.unwrap();
        assert!(matches!(old.decide(&noted("a", "x")).await, Err(Error::Forgotten { .. })));
        drop(old);
        let mut new = begin(Correlation::of(saga).started_at(shelf.clock.now())).await.unwrap();
        assert_eq!(new.decide(&noted("a", "x")).await.unwrap(), Decision::Won);
    }
}
