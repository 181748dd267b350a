//! Several instances of a service: one publishes, the others say what they commit.

use std::time::Duration;

use pavane_bus::{Bus as _, Memory};
use pavane_outbox::{
    Correlation, Emissions,
    relay::{self, Progress, Relay},
};
use sqlx::Any;
use tokio::{task::JoinHandle, time::timeout};

use crate::shelf::{Shelf, everything, noted};

/// Longer than any test: nothing is found by looking now and then.
const NEVER: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_secs(20);

/// Ends with the test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn relay(shelf: &Shelf, poll_max: Duration) -> Relay<Any, Memory> {
    let mut config = relay::Config::default();
    config.poll_max = poll_max;
    Relay::new(shelf.db.clone(), shelf.bus.clone(), config)
}

fn run(mut relay: Relay<Any, Memory>) -> Running {
    Running(tokio::spawn(async move { relay.run().await }))
}

/// A relay that has the lease.
async fn leader(shelf: &Shelf, poll_max: Duration) -> Relay<Any, Memory> {
    let mut relay = relay(shelf, poll_max);
    assert!(matches!(relay.turn().await.unwrap(), Progress::Idle { .. }));
    relay
}

async fn stored(shelf: &Shelf, expected: &[&str]) {
    let all_there = async {
        while shelf.stored() != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = timeout(SOON, all_there).await;
    assert!(waited.is_ok(), "stored {:?}, not {expected:?}", shelf.stored());
}

#[tokio::test]
async fn what_a_standby_commits_goes_out_at_once() {
    for shelf in Shelf::each().await {
        let second = shelf.second_instance().await;
        let _leads = run(leader(&shelf, NEVER).await);
        let _stands_by = run(relay(&second, NEVER));
        second.note("a", "one").await;
        stored(&shelf, &["one"]).await;
        second.note("a", "two").await;
        shelf.note("a", "three").await;
        stored(&shelf, &["one", "two", "three"]).await;
    }
}

#[tokio::test]
async fn what_another_instance_commits_goes_out_although_its_wake_was_lost() {
    for shelf in Shelf::each().await {
        let second = shelf.second_instance().await;
        let _leads = run(leader(&shelf, Duration::from_millis(20)).await);
        // No relay runs there that could say so.
        second.note("a", "one").await;
        stored(&shelf, &["one"]).await;
    }
}

#[tokio::test]
async fn a_standby_leaves_the_lease_alone_until_its_next_look() {
    for shelf in Shelf::each().await {
        let second = shelf.second_instance().await;
        let _leader = leader(&shelf, NEVER).await;
        let mut wakes = shelf.bus.listen("shelf").await.unwrap();
        let _stands_by = run(relay(&second, NEVER));
        second.note("a", "one").await;
        timeout(SOON, wakes.next()).await.expect("the standby does not say what it commits");
        // It could have the lease now, if it asked.
        shelf.pass(2 * relay::Config::default().lease).await;
        for _ in 0..5 {
            second.note("a", "more").await;
            timeout(SOON, wakes.next()).await.expect("the standby does not say what it commits");
        }
        assert!(shelf.stored().is_empty(), "each wake cost a look at the lease");
    }
}

#[tokio::test]
async fn a_standby_takes_over_however_much_is_committed() {
    for shelf in Shelf::each().await {
        let second = shelf.second_instance().await;
        let leader = leader(&shelf, NEVER).await;
        let mut wakes = shelf.bus.listen("shelf").await.unwrap();
        let _stands_by = run(relay(&second, Duration::from_millis(30)));
        second.note("a", "first").await;
        timeout(SOON, wakes.next()).await.expect("the standby does not say what it commits");
        drop(leader);
        shelf.pass(2 * relay::Config::default().lease).await;
        let took_over = async {
            while shelf.stored().is_empty() {
                second.note("a", "more").await;
            }
        };
        timeout(SOON, took_over).await.expect("commits keep the standby from taking over");
    }
}

/// Commits an event in a transaction that is not the framework's.
async fn commit_as_guest(shelf: &Shelf, text: &str) {
    let mut tx = shelf.db.writers().begin().await.unwrap();
    let emissions = Emissions::new("shelf/test", everything());
    let mut guest = shelf.db.guest(&mut *tx, Correlation::start(), emissions).unwrap();
    guest.emit(&noted("a", text)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_nudge_after_the_users_commit_wakes_the_relay_here_and_in_the_instance_that_publishes() {
    let shelf = Shelf::on_postgres().await;
    let second = shelf.second_instance().await;
    let mut leader = leader(&shelf, NEVER).await;
    let mut wakes = shelf.bus.listen("shelf").await.unwrap();
    commit_as_guest(&shelf, "one").await;
    shelf.db.nudge();
    timeout(SOON, shelf.db.committed()).await.expect("the relay here is not woken");
    let _stands_by = run(relay(&second, NEVER));
    commit_as_guest(&second, "two").await;
    second.db.nudge();
    timeout(SOON, wakes.next()).await.expect("the instance that publishes is not woken");
    leader.turn().await.unwrap();
    assert_eq!(shelf.stored(), ["one", "two"]);
}

#[tokio::test]
async fn what_a_user_commits_without_a_nudge_goes_out_with_the_next_look() {
    let shelf = Shelf::on_postgres().await;
    let _leads = run(leader(&shelf, Duration::from_millis(20)).await);
    commit_as_guest(&shelf, "one").await;
    stored(&shelf, &["one"]).await;
}
