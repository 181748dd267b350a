use std::sync::Arc;

use pavane_contract::{Clock, SystemClock, Timestamp};
use pavane_outbox::Config;
use pavane_testkit::servers::Postgres;
use sqlx::Postgres as Pg;

use super::*;
use crate::INBOX;

const DAY: Duration = Duration::from_hours(24);

/// Two months ahead.
#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + DAY * 60
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

async fn open(url: &str, clock: Arc<dyn Clock>) -> Db<Pg> {
    let mut config = Config::new("test", url);
    config.clock = clock;
    Db::open(config).await.unwrap()
}

#[tokio::test]
async fn an_undo_that_an_instance_took_whose_clock_is_wrong_is_due_when_it_should_be() {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let (right, wrong) = (open(&url, Arc::new(SystemClock)).await, open(&url, Arc::new(Ahead)).await);
    right.migrate(&INBOX).await.unwrap();
    let waits = "insert into pavane_waiting (reaction, event_id, saga, step, subject, headers, body, sequence, since, next_at, after_undo)
                 select 'undo', gen_random_uuid(), gen_random_uuid(), 'step', 's', '[]', '', 1, now, now, 0 from pavane_now() now";
    sqlx::query(waits).execute(right.writers()).await.unwrap();
    let wait = Duration::from_secs(30);
    let taken = take(&wrong, "undo", wait, 10).await.unwrap();
    assert_eq!((taken.len(), take(&right, "undo", wait, 10).await.unwrap().len()), (1, 0));
    let soon = 0..=micros(wait);
    assert!(soon.contains(&next_due(&right, "undo").await.unwrap().unwrap()));
    due_after(&wrong, "undo", &taken[0].event, Duration::ZERO).await.unwrap();
    assert_eq!(take(&right, "undo", wait, 10).await.unwrap().len(), 1);
    let (count, longest) = count(&wrong).await.unwrap();
    assert!(count == 1 && longest.unwrap() < micros(wait), "{longest:?}");
}
