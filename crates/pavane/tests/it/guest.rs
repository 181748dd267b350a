//! A service beside code that has transactions of its own.

use pavane::{Correlation, database::Error};
use pavane_outbox::Bounds;
use sqlx::{AssertSqlSafe, raw_sql};

use crate::stage::{Stage, Started, databases};

/// A running service on PostgreSQL.
async fn stage() -> Stage {
    let [_, postgres] = <[_; 2]>::try_from(databases().await).ok().unwrap();
    Stage::open(postgres).await
}

fn started(key: &str) -> Started {
    Started { key: key.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_in_a_users_transaction_is_handled_once_it_has_committed() {
    let stage = stage().await;
    for (key, commits) in [("kept", true), ("ghost", false)] {
        let mut tx = stage.db.writers().begin().await.unwrap();
        stage.entry().within(&mut tx, Correlation::start()).unwrap().emit(&started(key)).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        stage.entry().nudge();
    }
    stage.settle().await;
    assert_eq!(stage.done("kept").await, ["charge", "step"]);
    assert!(stage.said("ghost").is_empty() && stage.done("ghost").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_from_sql_is_handled_as_what_is_emitted_from_rust() {
    let stage = stage().await;
    let emit = "begin; create table business (id integer); \
                select pavane_emit('{\"entry\":\"start\",\"type\":\"stage.started\",\"key\":\"sql\",\"data\":{\"key\":\"sql\"}}')::text; \
                commit";
    raw_sql(AssertSqlSafe(emit)).execute(stage.db.writers()).await.unwrap();
    stage.entry().nudge();
    stage.settle().await;
    assert_eq!(stage.done("sql").await, ["charge", "step"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_point_holds_a_guest_to_what_it_declares_and_to_the_limit_of_the_outbox() {
    let stage = stage().await;
    let mut tx = stage.db.writers().begin().await.unwrap();
    let mut guest = stage.entry().within(&mut tx, Correlation::start()).unwrap();
    let refused = guest.decide(&started("x")).await;
    assert!(matches!(refused, Err(Error::Undeclared { method: "decides", .. })), "{refused:?}");
    stage.db.keep_to(Bounds { outbox_rows: 0, ..Bounds::default() });
    stage.db.measure_outbox().await.unwrap();
    let full = stage.entry().within(&mut tx, Correlation::start()).unwrap_err();
    assert!(matches!(full, Error::OutboxFull { .. }), "{full}");
}
