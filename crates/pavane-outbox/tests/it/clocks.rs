//! Instances whose clock is wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane_contract::{Clock, SagaId, Timestamp};
use pavane_outbox::{Config, Correlation, Db, Decision, Emissions, relay::Progress};

use crate::shelf::{Shelf, Still, everything, noted, run_dry};

const DAY: Duration = Duration::from_hours(24);

async fn count(db: &Db<sqlx::Any>, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db.writers()).await.unwrap()
}

/// A saga that is decided, and whose event is published.
async fn decided(shelf: &Shelf, db: &Db<sqlx::Any>) {
    let mut tx = db.begin(Correlation::start(), Emissions::new("shelf/test", everything())).await.unwrap();
    assert_eq!(tx.decide(&noted("a", "decided")).await.unwrap(), Decision::Won);
    tx.commit().await.unwrap();
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    relay.release().await.unwrap();
}

async fn remembers(shelf: &Shelf) -> (i64, i64) {
    let rows = count(&shelf.db, "select count(*) from pavane_outbox").await;
    (rows, count(&shelf.db, "select count(*) from pavane_outcome").await)
}

#[tokio::test]
async fn an_instance_whose_clock_is_far_ahead_erases_nothing_and_says_so() {
    for shelf in Shelf::each().await {
        decided(&shelf, &shelf.db).await;
        for days in [45, 60] {
            let (db, mut relay) = shelf.instance_at(shelf.clock.now() + DAY * days).await;
            run_dry(&mut relay).await;
            assert_eq!(remembers(&shelf).await, (1, 1), "{days} days ahead");
            let trouble = db.clock_trouble().unwrap();
            assert!(trouble.contains(&format!("{} s ahead of", days * 86_400)), "{trouble}");
            assert!(!db.may_prune());
            relay.release().await.unwrap();
        }
        let mut relay = shelf.relay();
        run_dry(&mut relay).await;
        assert!(shelf.db.may_prune() && shelf.db.clock_trouble().is_none());
        shelf.pass(DAY * 46).await;
        run_dry(&mut relay).await;
        assert_eq!(remembers(&shelf).await, (0, 0), "what is old by the right clock goes");
    }
}

#[tokio::test]
async fn what_an_instance_wrote_whose_clock_is_far_behind_is_not_taken_for_old() {
    let [_, shelf] = Shelf::each().await;
    let (db, _) = shelf.instance_at(shelf.clock.now() - DAY * 60).await;
    db.compare_clock(None).await.unwrap();
    assert!(db.clock_trouble().unwrap().contains("behind the database's"));
    decided(&shelf, &db).await;
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    assert_eq!(remembers(&shelf).await, (1, 1));
}

#[tokio::test]
async fn of_two_relays_of_which_one_has_a_wrong_clock_one_publishes() {
    let [_, shelf] = Shelf::each().await;
    let now = shelf.clock.now();
    for wrong in [now + DAY * 60, now - DAY * 60, now + Duration::from_secs(7), now - Duration::from_secs(7)] {
        let (_, mut other) = shelf.instance_at(wrong).await;
        let mut right = shelf.relay();
        run_dry(&mut right).await;
        shelf.note("a", "one").await;
        assert_eq!(other.turn().await.unwrap(), Progress::Standby, "{wrong}");
        assert_eq!(run_dry(&mut right).await, 1);
        right.release().await.unwrap();
        run_dry(&mut other).await;
        shelf.note("a", "two").await;
        assert_eq!(right.turn().await.unwrap(), Progress::Standby, "{wrong}");
        assert_eq!(run_dry(&mut other).await, 1);
        other.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_relay_whose_clock_is_ahead_lets_no_timer_go_off_before_its_time() {
    let [_, shelf] = Shelf::each().await;
    let mut tx = shelf.begin().await;
    tx.emit_after(Duration::from_hours(1), &noted("a", "deadline")).await.unwrap();
    tx.commit().await.unwrap();
    let (_, mut relay) = shelf.instance_at(shelf.clock.now() + DAY).await;
    run_dry(&mut relay).await;
    assert!(shelf.stored().is_empty(), "{:?}", shelf.stored());
    shelf.pass(Duration::from_hours(1)).await;
    run_dry(&mut relay).await;
    assert_eq!(shelf.stored(), ["deadline"]);
}

#[tokio::test]
async fn a_relay_whose_clock_is_put_back_goes_on_renewing_its_lease() {
    let [_, shelf] = Shelf::each().await;
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    let now: Timestamp = shelf.clock.now();
    shelf.clock.set(now - DAY * 60);
    shelf.set_database_clock(now + Duration::from_secs(4)).await;
    run_dry(&mut relay).await;
    let rest = count(&shelf.db, "select expires_at - pavane_now() from pavane_relay_lease").await;
    assert_eq!(rest, 5_000_000);
}

/// A clock that somebody sets while the process runs: time passes as it did.
#[derive(Debug)]
struct Set {
    right: Still,
    ahead: AtomicI64,
}

impl Set {
    fn to(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        let now = self.right.now().as_microsecond() + self.ahead.load(Ordering::SeqCst);
        Timestamp::from_microsecond(now).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.right.elapsed()
    }

    fn random(&self) -> u64 {
        self.right.random()
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_the_process_runs_makes_no_saga_older_or_younger() {
    const MICROS: i64 = 1_000_000;
    for shelf in Shelf::each().await {
        let clock = Arc::new(Set { right: shelf.clock.clone(), ahead: AtomicI64::new(0) });
        let mut config = Config::new("shelf", shelf.url());
        config.clock = clock.clone();
        let db = Db::<sqlx::Any>::open(config).await.unwrap();
        db.compare_clock(Some(shelf.clock.now())).await.unwrap();
        assert!(db.may_prune());
        let forgotten = SagaId::new(&shelf.clock);
        shelf.pass(DAY * 46).await;
        for (days, direction) in [(60, "ahead of"), (-60, "behind")] {
            clock.to(days * 86_400 * MICROS);
            let trouble = db.clock_trouble().unwrap();
            assert!(!db.may_prune() && trouble.contains(direction), "{trouble}");
            let new = Correlation::of(SagaId::new(&shelf.clock));
            let mut tx = db.begin(new, Emissions::new("shelf/test", everything())).await.unwrap();
            tx.emit_after(DAY, &noted("a", "deadline")).await.unwrap();
            assert_eq!(tx.decide(&noted("a", "decided")).await.unwrap(), Decision::Won, "{days}");
            tx.commit().await.unwrap();
            let mut tx =
                db.begin(Correlation::of(forgotten), Emissions::new("shelf/test", everything())).await.unwrap();
            let error = tx.decide(&noted("a", "decided")).await.unwrap_err().to_string();
            assert!(error.contains("started 46 days ago"), "{days}: {error}");
        }
        clock.to(0);
        assert!(db.may_prune() && db.clock_trouble().is_none());
    }
}
