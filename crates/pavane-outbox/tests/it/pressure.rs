//! A limit to what waits in the outbox.

use std::time::Duration;

use pavane_contract::Clock as _;
use pavane_outbox::{Bounds, Error};

use crate::shelf::{Shelf, run_dry};

#[tokio::test]
async fn an_outbox_that_is_full_says_so_until_it_has_room() {
    for shelf in Shelf::each().await {
        shelf.db.keep_to(Bounds { outbox_rows: 3, ..Bounds::default() });
        for number in 0..3 {
            shelf.db.measure_outbox().await.unwrap();
            shelf.db.check_room().unwrap();
            shelf.note("a", &number.to_string()).await;
        }
        // Another instance, whose relay is not the one that publishes, finds out by itself.
        let (other, _) = shelf.instance_at(shelf.clock.now()).await;
        other.keep_to(shelf.db.bounds());
        for db in [&shelf.db, &other] {
            db.measure_outbox().await.unwrap();
            let full = db.check_room().unwrap_err();
            assert!(matches!(full, Error::OutboxFull { .. }), "{full}");
            assert!(full.to_string().contains("3 events or more wait"), "{full}");
        }
        assert_eq!(run_dry(&mut shelf.relay()).await, 3);
        shelf.db.measure_outbox().await.unwrap();
        shelf.db.check_room().unwrap();
    }
}

#[tokio::test]
async fn an_event_that_waits_too_long_makes_the_outbox_full() {
    for shelf in Shelf::each().await {
        shelf.db.keep_to(Bounds { outbox_age: Duration::from_mins(10), ..Bounds::default() });
        shelf.note("a", "old").await;
        shelf.pass(Duration::from_mins(9)).await;
        shelf.db.measure_outbox().await.unwrap();
        shelf.db.check_room().unwrap();
        shelf.pass(Duration::from_mins(1)).await;
        shelf.db.measure_outbox().await.unwrap();
        let full = shelf.db.check_room().unwrap_err().to_string();
        assert!(full.contains("has waited 600s") && full.contains("outbox_age"), "{full}");
        run_dry(&mut shelf.relay()).await;
        shelf.db.measure_outbox().await.unwrap();
        shelf.db.check_room().unwrap();
    }
}
