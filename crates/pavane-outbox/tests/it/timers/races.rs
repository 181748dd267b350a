//! Who cancels a timer, and the relay that moves it because its time has come.

use std::time::Duration;

use pavane_outbox::{
    Decision, Dialect,
    relay::{Config, Progress, Relay},
};
use sqlx::{Any, Transaction};
use tokio::time::timeout;

use super::{Due, begin, published, scheduled, timers};
use crate::shelf::{Shelf, noted, run_dry};

#[tokio::test]
async fn a_timer_that_is_being_cancelled_is_not_moved_and_keeps_nobody_waiting() {
    for shelf in Shelf::each().await {
        for (commits, key) in [(true, "cancelled"), (false, "kept")] {
            let saga = scheduled(&shelf, key, Duration::ZERO).await;
            let mut tx = begin(&shelf.db, saga).await;
            assert!(tx.cancel::<Due>().await.unwrap());
            if shelf.db.dialect() == Dialect::Postgres {
                // SQLite has one writer, who is at it.
                shelf.note("meanwhile", "").await;
                let mut relay = shelf.relay();
                let published = timeout(Duration::from_secs(20), run_dry(&mut relay)).await;
                assert_eq!(published.expect("what is published waits for a handler"), 1);
                assert_eq!(relay.turn().await.unwrap(), Progress::Idle { next_due: Some(5_000) });
                relay.release().await.unwrap();
            }
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
        }
        let mut published = published(&shelf).await;
        published.retain(|key| key != "meanwhile");
        assert_eq!(published, ["kept"]);
        assert!(timers(&shelf).await.is_empty());
    }
}

/// Waits until somebody waits for a lock.
async fn until_one_waits(shelf: &Shelf) {
    let waits = async {
        while shelf.count("select count(*) from pg_locks where not granted").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), waits).await.expect("nobody waits for the relay");
}

/// What a relay does that moves all timers, up to its commit.
async fn moving(shelf: &Shelf) -> Transaction<'static, Any> {
    let mut relay = shelf.db.writers().begin().await.unwrap();
    let moved = sqlx::query("delete from pavane_timer").execute(&mut *relay).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
    relay
}

#[tokio::test]
async fn who_cancels_a_timer_that_is_being_moved_waits_and_learns_what_became_of_it() {
    for is_moved in [true, false] {
        for decides in [true, false] {
            let shelf = Shelf::on_postgres().await;
            let saga = scheduled(&shelf, "a", Duration::ZERO).await;
            let relay = moving(&shelf).await;
            let db = shelf.db.clone();
            let cancelling = tokio::spawn(async move {
                let mut tx = begin(&db, saga).await;
                if decides {
                    assert_eq!(tx.decide(&noted("a", "won")).await.unwrap(), Decision::Won);
                }
                let cancelled = !decides && tx.cancel::<Due>().await.unwrap();
                tx.commit().await.unwrap();
                cancelled
            });
            until_one_waits(&shelf).await;
            if is_moved {
                relay.commit().await.unwrap();
            } else {
                relay.rollback().await.unwrap();
            }
            let cancelled = timeout(Duration::from_secs(20), cancelling).await.expect("it waits for ever").unwrap();
            assert_eq!(cancelled, !decides && !is_moved);
            assert!(timers(&shelf).await.is_empty());
        }
    }
}

/// Every timer is cancelled or published: never both, and never neither.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_timers_that_are_cancelled_while_they_go_off_each_does_one_or_the_other() {
    const SAGAS: usize = 200;
    for shelf in Shelf::each().await {
        let mut sagas = Vec::new();
        for number in 0..SAGAS {
            sagas.push(scheduled(&shelf, &number.to_string(), Duration::ZERO).await);
        }
        // The relay moves a few at a time, so that it comes across those who cancel.
        let mut config = Config::default();
        config.batch_max = 7;
        let mut relay = Relay::new(shelf.db.clone(), shelf.bus.clone(), config);
        let relay = tokio::spawn(async move {
            while !matches!(relay.turn().await.unwrap(), Progress::Idle { next_due: None }) {
                tokio::task::yield_now().await;
            }
            relay.release().await.unwrap();
        });
        let cancelling = sagas.into_iter().enumerate().rev().map(|(number, saga)| {
            let db = shelf.db.clone();
            tokio::spawn(async move {
                let mut tx = begin(&db, saga).await;
                let cancelled = tx.cancel::<Due>().await.unwrap();
                // Some think better of it.
                let kept = number % 5 == 0;
                if kept {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                }
                (number, cancelled && !kept)
            })
        });
        let mut cancelled = Vec::new();
        for one in cancelling.collect::<Vec<_>>() {
            let (number, is_cancelled) = one.await.unwrap();
            cancelled.extend(is_cancelled.then(|| number.to_string()));
        }
        relay.await.unwrap();
        let published = published(&shelf).await;
        assert!(cancelled.iter().all(|key| !published.contains(key)), "both: {cancelled:?} {published:?}");
        assert_eq!(cancelled.len() + published.len(), SAGAS, "{:?}: neither", shelf.db.dialect());
        assert!(!cancelled.is_empty() && published.len() >= SAGAS / 5, "{} {}", cancelled.len(), published.len());
    }
}
