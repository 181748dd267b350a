use std::time::Duration;

use pavane_bus::{memory::Faults, topology::EVENTS};
use pavane_outbox::{
    internal::{self, CrashPoint},
    relay::Progress,
};

use crate::shelf::{Shelf, noted, run_dry};

async fn backlog(shelf: &Shelf) -> pavane_outbox::Backlog {
    internal::backlog(&shelf.db).await.unwrap()
}

#[tokio::test]
async fn rows_go_out_in_the_order_of_their_commits() {
    for shelf in Shelf::each().await {
        for number in 0..50 {
            shelf.note("key", &number.to_string()).await;
        }
        assert_eq!(run_dry(&mut shelf.relay()).await, 50);
        assert_eq!(shelf.stored(), (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(backlog(&shelf).await.unsent, 0);
    }
}

#[tokio::test]
async fn a_row_that_commits_late_is_not_skipped() {
    let [_, shelf] = Shelf::each().await;
    let mut relay = shelf.relay();
    let mut late = shelf.begin().await;
    late.emit(&noted("a", "late")).await.unwrap();
    shelf.note("b", "early").await;
    run_dry(&mut relay).await;
    assert_eq!(shelf.stored(), ["early"], "a transaction that is open holds nobody up");
    late.commit().await.unwrap();
    run_dry(&mut relay).await;
    assert_eq!(shelf.stored(), ["early", "late"]);
}

/// Rows are read ahead while others are being published. A cursor over their numbers would pass by one that has a low number
/// and commits only then, and what was committed after it would overtake it.
#[tokio::test]
async fn a_row_that_commits_late_is_not_overtaken_by_rows_that_are_read_ahead() {
    let [_, shelf] = Shelf::each().await;
    shelf.gate.close(CrashPoint::BeforeCommit);
    let mut late = shelf.begin().await;
    late.emit(&noted("a", "late")).await.unwrap();
    let committing = tokio::spawn(late.commit());
    shelf.gate.reached().await;
    let mut expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    for text in &expected {
        shelf.note("b", text).await;
    }
    shelf.gate.close(CrashPoint::BeforePublish);
    let mut relay = shelf.relay();
    let relaying = tokio::spawn(async move { run_dry(&mut relay).await });
    shelf.gate.reached().await;
    // Of two who wait, the first one goes on first.
    shelf.gate.open();
    committing.await.unwrap().unwrap();
    shelf.note("a", "after it").await;
    shelf.gate.open();
    assert_eq!(relaying.await.unwrap(), 102);
    let read_first = 64;
    expected.insert(read_first, "late".to_owned());
    expected.push("after it".to_owned());
    assert_eq!(shelf.stored(), expected);
}

#[tokio::test]
async fn each_of_many_rows_is_published_once() {
    for shelf in Shelf::each().await {
        for batch in 0..4 {
            let mut tx = shelf.begin().await;
            for number in 0..250 {
                tx.emit(&noted("key", &(250 * batch + number).to_string())).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
        // A duplicate to the broker would be counted here.
        assert_eq!(run_dry(&mut shelf.relay()).await, 1000);
        assert_eq!(shelf.stored(), (0..1000).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(backlog(&shelf).await.unsent, 0, "the last batch is marked too");
    }
}

/// While a batch is being published, the one before it isn't marked yet.
#[tokio::test]
async fn what_the_broker_loses_between_two_batches_is_published_again() {
    for shelf in Shelf::each().await {
        for number in 0..100 {
            shelf.note("key", &number.to_string()).await;
        }
        let mut relay = shelf.relay();
        assert!(matches!(relay.turn().await.unwrap(), Progress::Sent { sent: 64, .. }));
        shelf.bus.roll_back(EVENTS, 10);
        run_dry(&mut relay).await;
        assert_eq!(shelf.stored(), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(backlog(&shelf).await.unsent, 0);
    }
}

#[tokio::test]
async fn a_refused_row_is_reported_and_blocks_nobody() {
    for shelf in Shelf::each().await {
        shelf.note("a", "before").await;
        shelf.note("a", &"x".repeat(2 << 20)).await;
        shelf.note("a", "after").await;
        let mut relay = shelf.relay();
        assert_eq!(run_dry(&mut relay).await, 2);
        assert_eq!(shelf.stored(), ["before", "after"]);
        let waiting = backlog(&shelf).await;
        assert_eq!((waiting.unsent, waiting.refused), (0, 1));
        let refused = shelf.db.refused(10).await.unwrap();
        assert!(refused[0].why.contains("bytes") && refused[0].bytes > 2 << 20, "{refused:?}");
        assert_eq!(shelf.db.retry_refused(&[refused[0].number, 4711]).await.unwrap(), 1);
        assert_eq!((backlog(&shelf).await.unsent, backlog(&shelf).await.refused), (1, 0));
        run_dry(&mut relay).await;
        assert_eq!(backlog(&shelf).await.refused, 1, "it is as large as before");
    }
}

#[tokio::test]
async fn a_forbidden_row_waits_and_what_comes_behind_waits_with_it_until_it_is_allowed() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        shelf.note("a", "before").await;
        run_dry(&mut relay).await;
        shelf.bus.forbid("events.shelf.noted.a");
        for text in ["one", "two"] {
            shelf.note("a", text).await;
        }
        for _ in 0..3 {
            let denied = relay.turn().await.unwrap_err().to_string();
            assert!(denied.contains("permission denied") && denied.contains("events.shelf.noted.a"), "{denied}");
            assert_eq!(shelf.db.relay_trouble(), Some(denied));
        }
        shelf.note("b", "allowed, and behind").await;
        assert!(relay.turn().await.is_err());
        let waiting = backlog(&shelf).await;
        assert_eq!((waiting.unsent, waiting.refused), (3, 0), "nothing is set aside");
        assert_eq!(shelf.stored(), ["before"], "nothing overtakes");
        shelf.bus.permit();
        assert_eq!(run_dry(&mut relay).await, 3);
        assert_eq!(shelf.stored(), ["before", "one", "two", "allowed, and behind"]);
        assert_eq!(shelf.db.relay_trouble(), None);
    }
}

#[tokio::test]
async fn a_lost_acknowledgement_means_publishing_again_under_the_same_id() {
    for shelf in Shelf::each().await {
        let lost = Faults { drop_publish_ack: 1.0, ..Faults::default() };
        let mut relay = shelf.relay();
        run_dry(&mut relay).await;
        shelf.note("a", "once").await;
        shelf.bus.set_faults(lost);
        assert!(relay.turn().await.is_err());
        assert_eq!(backlog(&shelf).await.unsent, 1, "what isn't acknowledged isn't marked");
        shelf.bus.set_faults(Faults::default());
        run_dry(&mut relay).await;
        assert_eq!(shelf.stored(), ["once"]);
        assert_eq!(backlog(&shelf).await.unsent, 0);
    }
}

#[tokio::test]
async fn one_relay_publishes_and_another_takes_over() {
    for shelf in Shelf::each().await {
        let (mut first, mut second) = (shelf.relay(), shelf.relay());
        run_dry(&mut first).await;
        shelf.note("a", "one").await;
        assert_eq!(second.turn().await.unwrap(), Progress::Standby);
        run_dry(&mut first).await;
        first.release().await.unwrap();
        shelf.note("a", "two").await;
        assert_eq!(run_dry(&mut second).await, 1, "a released lease is free at once");
        shelf.note("a", "three").await;
        assert_eq!(first.turn().await.unwrap(), Progress::Standby);
        // The second one dies; its lease runs out.
        shelf.pass(Duration::from_secs(6)).await;
        assert_eq!(run_dry(&mut first).await, 1);
        assert_eq!(shelf.stored(), ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn what_the_broker_lost_is_published_again_and_nothing_else() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        for number in 0..600 {
            shelf.note("a", &number.to_string()).await;
        }
        run_dry(&mut relay).await;
        shelf.bus.roll_back(EVENTS, 250);
        // The sequences that were lost are given to somebody else's messages meanwhile.
        shelf.publish_as_stranger();
        assert_eq!(run_dry(&mut relay).await, 350);
        let stored = shelf.bus.messages(EVENTS);
        assert_eq!(stored.len(), 601);
        assert_eq!(run_dry(&mut relay).await, 0);
    }
}

/// Found by the simulation: the old relay's acknowledgements were of messages that the broker had lost since. Recorded over
/// the new relay's, they hid that the broker lost those messages a second time.
#[tokio::test]
async fn a_relay_that_stood_still_records_nothing_that_is_no_longer_true() {
    for shelf in Shelf::each().await {
        let (mut slow, mut quick) = (shelf.relay(), shelf.relay());
        shelf.note("a", "one").await;
        run_dry(&mut slow).await;
        shelf.note("a", "two").await;
        shelf.gate.close(CrashPoint::AfterPublish);
        let standing = tokio::spawn(async move { slow.turn().await });
        shelf.gate.reached().await;
        shelf.bus.roll_back(EVENTS, 0);
        shelf.pass(Duration::from_secs(6)).await;
        shelf.publish_as_stranger();
        assert_eq!(run_dry(&mut quick).await, 2, "both, one sequence later than before");
        shelf.gate.open();
        drop(standing.await.unwrap());
        shelf.bus.roll_back(EVENTS, 2);
        assert_eq!(run_dry(&mut quick).await, 1);
        assert_eq!(shelf.bus.messages(EVENTS).len(), 3);
    }
}

#[tokio::test]
async fn a_relay_that_lost_its_lease_records_nothing() {
    for shelf in Shelf::each().await {
        let mut slow = shelf.relay();
        shelf.note("a", "one").await;
        shelf.gate.close(CrashPoint::AfterPublish);
        let standing = tokio::spawn(async move {
            slow.turn().await.unwrap();
            slow
        });
        shelf.gate.reached().await;
        let take_over = sqlx::query("update pavane_relay_lease set owner = 'another'");
        take_over.execute(shelf.db.writers()).await.unwrap();
        shelf.note("a", "two").await;
        shelf.gate.open();
        let mut slow = standing.await.unwrap();
        assert_eq!(slow.turn().await.unwrap(), Progress::Standby);
        assert_eq!(backlog(&shelf).await.unsent, 2);
        assert_eq!(shelf.stored(), ["one"], "nor does it publish more");
    }
}

#[tokio::test]
async fn what_was_published_is_recorded_by_the_read_that_comes_next_or_at_the_end() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        for number in 0..3 {
            shelf.note("a", &number.to_string()).await;
            assert!(matches!(relay.turn().await.unwrap(), Progress::Sent { sent: 1, .. }), "{number}");
            assert_eq!(backlog(&shelf).await.unsent, 1, "of those before none is left");
        }
        relay.release().await.unwrap();
        assert_eq!(backlog(&shelf).await.unsent, 0);
        assert_eq!(shelf.stored(), ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn sent_rows_are_kept_until_the_durability_horizon_and_then_deleted() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        shelf.note("a", "old").await;
        run_dry(&mut relay).await;
        let rows = || async {
            let count = sqlx::query_scalar::<_, i64>("select count(*) from pavane_outbox");
            count.fetch_one(shelf.db.writers()).await.unwrap()
        };
        shelf.pass(Duration::from_secs(599)).await;
        run_dry(&mut relay).await;
        assert_eq!(rows().await, 1);
        shelf.pass(Duration::from_secs(2)).await;
        run_dry(&mut relay).await;
        assert_eq!(rows().await, 0);
    }
}

#[tokio::test]
async fn a_timer_goes_out_when_its_time_has_come_and_never_before() {
    for shelf in Shelf::each().await {
        let mut relay = shelf.relay();
        let mut tx = shelf.begin().await;
        tx.emit_after(Duration::from_secs(10), &noted("a", "ten")).await.unwrap();
        tx.emit_after(Duration::from_secs(5), &noted("a", "five")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(relay.turn().await.unwrap(), Progress::Idle { next_due: Some(5_000_000) });
        shelf.pass(Duration::from_secs(5)).await;
        run_dry(&mut relay).await;
        assert_eq!(shelf.stored(), ["five"]);
        shelf.pass(Duration::from_secs(100)).await;
        run_dry(&mut relay).await;
        assert_eq!(shelf.stored(), ["five", "ten"]);
        assert_eq!(backlog(&shelf).await.scheduled, 0);
    }
}
