//! Undos and steps of sagas that are older than what is remembered of them.

use std::time::Duration;

use pavane::SagaId;
use pavane_contract::{Clock as _, EventId, Meta, RawEnvelope, SystemClock};
use pavane_inbox::forget;

use crate::stage::{Cancelled, Stage, Started, databases, envelope, until};

const DAY: Duration = Duration::from_hours(24);

/// An event of a saga that started so long ago.
fn aged(event: &RawEnvelope, days: u32) -> RawEnvelope {
    let mut meta = Meta::clone(&event.meta);
    meta.cause.started = SystemClock.now() - DAY * days;
    RawEnvelope { meta: meta.into(), body: event.body.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_of_a_saga_that_is_forgotten_is_kept_for_a_person_and_bars_nothing() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = SagaId::new(&SystemClock);
        let late = Cancelled { key: "late".into() };
        let cancelled = aged(&envelope(EventId::new(&SystemClock), saga, &late), 46);
        stage.publish_raw(&cancelled, "late").await;
        stage.settle().await;
        assert_eq!(stage.dead_reactions(), ["refund", "undo-step"], "not 'nothing to do'");
        assert!(stage.dead_causes()[0].contains("started 46 days ago"), "{:?}", stage.dead_causes());
        let barred: i64 =
            sqlx::query_scalar("select count(*) from pavane_ledger").fetch_one(stage.db.readers()).await.unwrap();
        assert_eq!(barred, 0);
        // A younger saga's is barred as ever.
        let young = aged(&envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &late), 44);
        stage.publish_raw(&young, "young").await;
        stage.settle().await;
        assert_eq!(stage.dead_reactions().len(), 2);
        let barred: i64 =
            sqlx::query_scalar("select count(*) from pavane_ledger").fetch_one(stage.db.readers()).await.unwrap();
        assert_eq!(barred, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_saga_that_is_forgotten_does_not_run_and_a_duplicate_is_still_a_duplicate() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let started = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: "old".into() });
        stage.publish_raw(&started, "in time").await;
        stage.settle().await;
        assert_eq!(stage.done("old").await, ["charge", "step"]);
        stage.publish_raw(&aged(&started, 46), "again").await;
        stage.settle().await;
        assert!(stage.dead_reactions().is_empty(), "it was handled in time: {:?}", stage.dead_causes());
        let other = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: "other".into() });
        stage.publish_raw(&aged(&other, 46), "too late").await;
        stage.settle().await;
        // Its undo may have come, and be forgotten.
        assert_eq!(stage.dead_reactions(), ["charge", "step"]);
        assert!(stage.done("other").await.is_empty());
        assert_eq!(stage.script.calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_step_is_not_forgotten_however_old_it_is() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let provider = stage.script.provider.lock().await;
        let saga = stage.start("slow").await;
        until("the call", || async { (!stage.script.calls.lock().unwrap().is_empty()).then_some(()) }).await;
        until("the other step", || async { (stage.done("slow").await == ["step"]).then_some(()) }).await;
        let age = sqlx::query("update pavane_ledger set changed_at = 0");
        age.execute(stage.db.writers()).await.unwrap();
        stage.db.compare_clock(Some(SystemClock.now())).await.unwrap();
        forget(&stage.db, DAY * 45).await.unwrap();
        let left: Vec<String> =
            sqlx::query_scalar("select step from pavane_ledger").fetch_all(stage.db.readers()).await.unwrap();
        assert_eq!(left, ["charge"]);
        drop(provider);
        stage.settle().await;
        stage.cancel(saga, "slow").await;
        stage.settle().await;
        assert!(stage.done("slow").await.contains(&"refund".to_owned()));
    }
}
