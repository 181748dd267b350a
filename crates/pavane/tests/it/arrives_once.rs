//! Every effect happens once, whatever is delivered how often.

use std::time::Duration;

use pavane::{Correlation, SagaId};
use pavane_contract::{EventId, SystemClock};

use crate::stage::{Stage, Started, databases, envelope, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_travels_from_the_entry_through_the_outbox_to_every_reaction() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        stage.start("one").await;
        until("all reactions", || async { (stage.said("one").len() == 4).then_some(()) }).await;
        stage.settle().await;
        let mut said = stage.said("one");
        said.sort();
        assert_eq!(said, ["stage.charged", "stage.started", "stage.stepped", "stage.won"]);
        assert_eq!(stage.done("one").await, ["charge", "step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_changes_nothing() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let event = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: "twice".into() });
        for copy in 0..5 {
            // Another message id each time: the broker's own duplicate window must not be what saves us.
            stage.publish_raw(&event, &format!("copy-{copy}")).await;
        }
        stage.settle().await;
        assert_eq!(stage.done("twice").await, ["charge", "step"]);
        assert_eq!(stage.said("twice").iter().filter(|name| *name == "stage.stepped").count(), 1);
        assert_eq!(stage.script.calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_event_for_a_step_of_the_same_saga_is_kept_as_a_dead_letter() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let saga = stage.start("same").await;
        stage.settle().await;
        stage.publish(saga, &Started { key: "same".into() }).await;
        stage.settle().await;
        assert_eq!(stage.done("same").await, ["charge", "step"]);
        let dead = stage.bus.messages("DEAD_LETTERS");
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead[0].message.headers.get("pavane-dead-cause").unwrap().contains("a step runs once a saga"));
        assert!(!stage.said("same").contains(&"stage.failed".to_owned()), "the step is done: nothing failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_survive_a_restart_and_a_rollback_of_the_broker() {
    for database in databases().await {
        let mut stage = Stage::open(database).await;
        for n in 0..200 {
            stage.start(&format!("many-{n}")).await;
            if n == 100 {
                stage = stage.restart().await;
            }
            if n == 150 {
                let kept = stage.bus.messages("EVENTS").len().saturating_sub(20);
                stage.bus.roll_back("EVENTS", kept as u64);
            }
        }
        until("all to be done", || async {
            let mut missing = 0;
            for n in 0..200 {
                missing += usize::from(stage.done(&format!("many-{n}")).await != ["charge", "step"]);
            }
            (missing == 0).then_some(())
        })
        .await;
        stage.settle().await;
        assert!(stage.bus.messages("DEAD_LETTERS").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rolls_back_is_never_published_and_what_is_scheduled_comes_later() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let mut tx = stage.entry().begin(Correlation::start()).await.unwrap();
        tx.emit(&Started { key: "ghost".into() }).await.unwrap();
        tx.rollback().await.unwrap();
        let mut tx = stage.entry().begin(Correlation::start()).await.unwrap();
        tx.emit_after(Duration::from_millis(300), &Started { key: "later".into() }).await.unwrap();
        tx.emit_after(Duration::from_hours(1), &Started { key: "much-later".into() }).await.unwrap();
        tx.commit().await.unwrap();
        stage.settle().await;
        assert!(stage.said("later").is_empty());
        until("the timer", || async { (!stage.said("later").is_empty()).then_some(()) }).await;
        stage.settle().await;
        assert_eq!(stage.done("later").await, ["charge", "step"]);
        assert!(stage.said("ghost").is_empty() && stage.said("much-later").is_empty());
    }
}
