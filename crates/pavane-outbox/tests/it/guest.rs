//! Events in a transaction that the user began and commits.

use std::time::Duration;

use pavane_choreography::Emission;
use pavane_contract::{EventRef, Key, SagaId};
use pavane_outbox::{Bounds, Correlation, Decision, Emissions, Error, Guest};
use sqlx::{Any, Connection as _, Transaction};
use tokio::time::timeout;

use crate::shelf::{Noted, Shelf, everything, noted, run_dry};

const DAY: Duration = Duration::from_hours(24);

/// A shelf whose database has a table of the user's.
async fn shop() -> Shelf {
    let shelf = Shelf::on_postgres().await;
    shelf.run("create table business (id integer primary key, state text not null); insert into business values (1, 'new')").await;
    shelf
}

async fn begin(shelf: &Shelf) -> Transaction<'static, Any> {
    shelf.db.writers().begin().await.unwrap()
}

fn emissions() -> Emissions {
    Emissions::new("shelf/test", everything())
}

fn join<'c>(shelf: &Shelf, tx: &'c mut Transaction<'static, Any>) -> Guest<'c, Any> {
    join_saga(shelf, tx, Correlation::start())
}

fn join_saga<'c>(shelf: &Shelf, tx: &'c mut Transaction<'static, Any>, saga: Correlation) -> Guest<'c, Any> {
    shelf.db.guest(&mut **tx, saga, emissions()).unwrap()
}

async fn set(tx: &mut Transaction<'static, Any>, state: &'static str) {
    sqlx::query("update business set state = $1 where id = 1").bind(state).execute(&mut **tx).await.unwrap();
}

async fn state(shelf: &Shelf) -> String {
    sqlx::query_scalar("select state from business").fetch_one(shelf.db.writers()).await.unwrap()
}

/// What is published now, in order. Nothing is left behind where events wait for a commit.
async fn published(shelf: &Shelf) -> Vec<String> {
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    relay.release().await.unwrap();
    assert_eq!(shelf.count("select count(*) from pavane_staged").await, 0);
    shelf.stored()
}

#[tokio::test]
async fn what_a_guest_emits_leaves_with_the_users_commit_and_not_without() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    set(&mut tx, "kept").await;
    let mut guest = join(&shelf, &mut tx);
    guest.emit(&noted("a", "one")).await.unwrap();
    guest.emit(&noted("a", "two")).await.unwrap();
    guest.emit_after(DAY, &noted("a", "later")).await.unwrap();
    sqlx::query("select 1").execute(guest.conn()).await.unwrap();
    assert!(published(&shelf).await.is_empty(), "it is published before the commit");
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, ["one", "two"]);
    let mut tx = begin(&shelf).await;
    set(&mut tx, "rolled back").await;
    join(&shelf, &mut tx).emit(&noted("a", "ghost")).await.unwrap();
    join(&shelf, &mut tx).emit_after(DAY, &noted("a", "ghost")).await.unwrap();
    drop(tx);
    assert_eq!(published(&shelf).await, ["one", "two"]);
    shelf.pass(DAY).await;
    assert_eq!(published(&shelf).await, ["one", "two", "later"]);
    assert_eq!(state(&shelf).await, "kept");
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back_takes_its_events_with_it() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    let mut guest = join(&shelf, &mut tx);
    guest.emit(&noted("a", "before")).await.unwrap();
    let mut savepoint = guest.conn().begin().await.unwrap();
    let mut inner = shelf.db.guest(&mut *savepoint, Correlation::start(), emissions()).unwrap();
    inner.emit(&noted("a", "undone")).await.unwrap();
    assert_eq!(inner.decide(&noted("a", "undone")).await.unwrap(), Decision::Won);
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    let mut inner = shelf.db.guest(&mut *savepoint, Correlation::start(), emissions()).unwrap();
    inner.emit(&noted("a", "kept")).await.unwrap();
    savepoint.commit().await.unwrap();
    join(&shelf, &mut tx).emit(&noted("a", "after")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, ["before", "kept", "after"]);
    assert_eq!(shelf.count("select count(*) from pavane_outcome").await, 0);
}

#[tokio::test]
async fn of_two_users_who_change_one_row_the_first_to_commit_is_published_first() {
    let shelf = shop().await;
    let (mut second, mut first) = (begin(&shelf).await, begin(&shelf).await);
    // It emits first, and commits last.
    join(&shelf, &mut second).emit(&noted("a", "second")).await.unwrap();
    join(&shelf, &mut first).emit(&noted("a", "first")).await.unwrap();
    set(&mut first, "first").await;
    first.commit().await.unwrap();
    set(&mut second, "second").await;
    second.commit().await.unwrap();
    assert_eq!(published(&shelf).await, ["first", "second"]);
}

#[tokio::test]
async fn events_leave_in_the_order_in_which_they_were_emitted() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    let mut guest = join(&shelf, &mut tx);
    let texts: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    for text in &texts {
        guest.emit(&noted("a", text)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, texts);
}

#[tokio::test]
async fn a_list_leaves_in_its_order_and_each_says_how_many_there_are() {
    let shelf = shop().await;
    let list = Emissions::new("shelf/test", vec![Emission::Each(vec![EventRef::of::<Noted>()])]);
    let mut tx = begin(&shelf).await;
    let mut guest = shelf.db.guest(&mut *tx, Correlation::start(), list).unwrap();
    let empty = guest.emit_each(Vec::<Noted>::new()).await;
    assert!(matches!(empty, Err(Error::NoItems { .. })), "{empty:?}");
    let alone = guest.emit(&noted("a", "alone")).await;
    assert!(matches!(alone, Err(Error::Undeclared { .. })), "an item is emitted in its list: {alone:?}");
    let texts: Vec<_> = (1..=1000).map(|number| number.to_string()).collect();
    guest.emit_each(texts.iter().map(|text| noted("a", text))).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, texts);
    let stamped = "select count(*) from pavane_outbox where headers::jsonb @> jsonb_build_array(jsonb_build_array(\
                   'ce-item', convert_from(payload, 'UTF8')::jsonb ->> 'text'), '[\"ce-itemcount\",\"1000\"]'::jsonb)";
    assert_eq!(shelf.count(stamped).await, 1000);
}

#[tokio::test]
async fn what_a_guest_may_not_emit_is_refused_and_the_transaction_goes_on() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    set(&mut tx, "kept").await;
    let nothing = Emissions::new("shelf/pay", Vec::new());
    let mut guest = shelf.db.guest(&mut *tx, Correlation::start(), nothing).unwrap();
    let refused = [
        guest.emit(&noted("a", "x")).await.unwrap_err(),
        guest.emit_after(DAY, &noted("a", "x")).await.unwrap_err(),
        guest.decide(&noted("a", "x")).await.unwrap_err(),
    ];
    for (refused, method) in refused.iter().zip(["emits", "schedules", "decides"]) {
        let expected = format!(
            "shelf/pay does not declare that it emits shelf.noted v1: add .{method}::<…>() to its line in the wiring table"
        );
        assert_eq!(refused.to_string(), expected);
    }
    let mut guest = join(&shelf, &mut tx);
    let long = guest.emit(&noted(&"k".repeat(Key::MAX_BYTES + 1), "")).await.unwrap_err();
    assert!(matches!(long, Error::KeyTooLong { bytes: 257, .. }), "{long}");
    let late = guest.emit_after(DAY * 45, &noted("a", "")).await.unwrap_err();
    assert!(matches!(late, Error::TooLate { .. }), "{late}");
    let old = Correlation::of(guest.saga()).started_at(guest_time(&shelf, 46));
    let old = join_saga(&shelf, &mut tx, old).decide(&noted("a", "")).await.unwrap_err();
    assert!(matches!(old, Error::Forgotten { .. }), "{old}");
    join(&shelf, &mut tx).emit(&noted("a", "allowed")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((published(&shelf).await, state(&shelf).await), (vec!["allowed".to_owned()], "kept".to_owned()));
}

fn guest_time(shelf: &Shelf, days_ago: u32) -> pavane_contract::Timestamp {
    shelf.db.clock().now() - DAY * days_ago
}

#[tokio::test]
async fn there_is_no_guest_without_a_transaction_nor_on_sqlite_nor_where_the_outbox_is_full() {
    let [sqlite, shelf] = Shelf::each().await;
    let mut conn = shelf.db.writers().acquire().await.unwrap();
    let refused = shelf.db.guest(&mut *conn, Correlation::start(), emissions()).unwrap_err();
    assert!(matches!(refused, Error::NoTransaction), "{refused}");
    let mut tx = sqlite.db.writers().begin().await.unwrap();
    let refused = sqlite.db.guest(&mut *tx, Correlation::start(), emissions()).unwrap_err();
    assert!(matches!(refused, Error::NoGuest), "{refused}");
    let mut tx = begin(&shelf).await;
    let stranger: SagaId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
    let refused = shelf.db.guest(&mut *tx, Correlation::of(stranger), emissions()).unwrap_err();
    assert!(matches!(refused, Error::StartUnknown(_)), "{refused}");
    shelf.db.keep_to(Bounds { outbox_rows: 1, ..Bounds::default() });
    shelf.note("a", "waits").await;
    shelf.db.measure_outbox().await.unwrap();
    let refused = shelf.db.guest(&mut *tx, Correlation::start(), emissions()).unwrap_err();
    assert!(matches!(refused, Error::OutboxFull { .. }), "{refused}");
}

#[tokio::test]
async fn of_two_guests_who_decide_at_once_the_second_waits_for_the_first_and_loses_or_wins() {
    for first_commits in [true, false] {
        let shelf = shop().await;
        let (mut first, mut second) = (begin(&shelf).await, begin(&shelf).await);
        let saga = join(&shelf, &mut first).saga();
        let won = join_saga(&shelf, &mut first, Correlation::of(saga)).decide(&noted("a", "first")).await.unwrap();
        assert_eq!(won, Decision::Won);
        let db = shelf.db.clone();
        let deciding = tokio::spawn(async move {
            let mut guest = db.guest(&mut *second, Correlation::of(saga), emissions()).unwrap();
            let outcome = guest.decide(&noted("a", "second")).await.unwrap();
            second.commit().await.unwrap();
            outcome
        });
        while shelf.count("select count(*) from pg_locks where not granted").await == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!deciding.is_finished(), "it does not wait");
        if first_commits {
            first.commit().await.unwrap();
        } else {
            first.rollback().await.unwrap();
        }
        let second = timeout(Duration::from_secs(20), deciding).await.expect("it waits for ever").unwrap();
        let (expected, texts) = if first_commits { (Decision::Lost, ["first"]) } else { (Decision::Won, ["second"]) };
        assert_eq!((second, published(&shelf).await), (expected, texts.map(str::to_owned).to_vec()));
        assert_eq!(shelf.count("select count(*) from pavane_outcome").await, 1);
    }
}

#[tokio::test]
async fn constraints_that_are_made_immediate_move_events_early_and_in_the_same_transaction() {
    let shelf = shop().await;
    for (commits, text) in [(false, "ghost"), (true, "kept")] {
        let mut tx = begin(&shelf).await;
        join(&shelf, &mut tx).emit(&noted("a", text)).await.unwrap();
        sqlx::query("set constraints all immediate").execute(&mut *tx).await.unwrap();
        let staged: i64 = sqlx::query_scalar("select count(*) from pavane_staged").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(staged, 0, "it waits for the commit");
        join(&shelf, &mut tx).emit(&noted("a", "and more")).await.unwrap();
        assert!(published(&shelf).await.is_empty());
        if commits {
            tx.commit().await.unwrap();
        }
    }
    assert_eq!(published(&shelf).await, ["kept", "and more"]);
}

#[tokio::test]
async fn a_session_without_triggers_loses_no_event() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    join(&shelf, &mut tx).emit(&noted("a", "one")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, ["one"]);
}

#[tokio::test]
async fn an_event_that_can_not_be_moved_fails_the_users_commit_and_nothing_is_committed() {
    let shelf = shop().await;
    shelf.run("alter table pavane_outbox add constraint disk_is_full check (subject not like '%.full')").await;
    let mut tx = begin(&shelf).await;
    set(&mut tx, "lost").await;
    join(&shelf, &mut tx).emit(&noted("a", "good")).await.unwrap();
    join(&shelf, &mut tx).emit(&noted("full", "bad")).await.unwrap();
    let failed = tx.commit().await.unwrap_err();
    let failed = failed.as_database_error().unwrap();
    assert!(failed.message().contains("violates check constraint \"disk_is_full\""), "{failed}");
    assert_eq!((published(&shelf).await, state(&shelf).await), (Vec::new(), "new".to_owned()));
}

#[tokio::test]
async fn an_aborted_transaction_says_so() {
    let shelf = shop().await;
    let mut tx = begin(&shelf).await;
    sqlx::query("select 1 / 0").execute(&mut *tx).await.unwrap_err();
    let refused = join(&shelf, &mut tx).emit(&noted("a", "x")).await.unwrap_err();
    assert!(matches!(refused, Error::Aborted), "{refused}");
}

#[tokio::test]
async fn the_declared_ways_to_emit_are_told_apart() {
    let shelf = shop().await;
    let of =
        |group: fn(Vec<EventRef>) -> Emission| Emissions::new("shelf/pay", vec![group(vec![EventRef::of::<Noted>()])]);
    let mut tx = begin(&shelf).await;
    let mut decides = shelf.db.guest(&mut *tx, Correlation::start(), of(Emission::Outcome)).unwrap();
    assert!(matches!(decides.emit(&noted("a", "x")).await, Err(Error::Undeclared { method: "emits", .. })));
    assert_eq!(decides.decide(&noted("a", "decided")).await.unwrap(), Decision::Won);
    assert_eq!(decides.decide(&noted("a", "again")).await.unwrap(), Decision::Lost);
    tx.commit().await.unwrap();
    assert_eq!(published(&shelf).await, ["decided"]);
}
