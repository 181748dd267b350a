//! What happens when more waits in the outbox than may.

use pavane::{Correlation, SagaId, database::Error};
use pavane_contract::SystemClock;
use pavane_outbox::Bounds;

use crate::stage::{Stage, Started, databases};

#[tokio::test(flavor = "multi_thread")]
async fn while_the_outbox_is_full_entry_points_refuse_and_reactions_pause() {
    for database in databases().await {
        let (stage, mut step) = Stage::by_hand(database, "step").await;
        stage.db.keep_to(Bounds { outbox_rows: 2, ..Bounds::default() });
        for key in ["one", "two"] {
            stage.start(key).await;
        }
        stage.publish(SagaId::new(&SystemClock), &Started { key: "waiting".into() }).await;
        stage.db.measure_outbox().await.unwrap();
        let refused = stage.entry().begin(Correlation::start()).await.unwrap_err();
        assert!(matches!(refused, Error::OutboxFull { .. }), "{refused}");
        // The end of a pause, and nothing else.
        step.turn().await.unwrap();
        let pending = stage.bus.pending("stage_step").unwrap();
        assert_eq!((pending.undelivered, pending.unsettled), (1, 0), "it isn't taken from the bus");
        assert!(stage.done("waiting").await.is_empty());
        stage.db.keep_to(Bounds::default());
        stage.db.measure_outbox().await.unwrap();
        drop(stage.entry().begin(Correlation::start()).await.unwrap());
        while stage.done("waiting").await.is_empty() {
            step.turn().await.unwrap();
        }
        let failures: i64 =
            sqlx::query_scalar("select count(*) from pavane_attempt").fetch_one(stage.db.readers()).await.unwrap();
        assert_eq!(failures, 0, "nothing is counted");
    }
}
