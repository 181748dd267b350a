//! Timers that are cancelled: by hand, and by the outcome of their saga.

mod races;

use std::time::Duration;

use pavane_bus::topology::EVENTS;
use pavane_choreography::{Emission, Entry, Manifest};
use pavane_contract::{Cause, Clock as _, Event, EventRef, SagaId, codec};
use pavane_outbox::{Correlation, Db, Decision, Emissions, Error, Tx, internal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{Any, postgres::PgDatabaseError};

use crate::shelf::{Noted, Shelf, noted, run_dry};

const HOUR: Duration = Duration::from_hours(1);

/// What an outcome cancels.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shelf.due", key = key)]
struct Due {
    key: String,
}

/// The same, as the next version of the service schedules it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shelf.due", version = 2, key = key)]
struct NewDue {
    key: String,
}

/// What outlives it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "shelf.review-due", key = key)]
struct ReviewDue {
    key: String,
}

fn due(key: &str) -> Due {
    Due { key: key.to_owned() }
}

fn review(key: &str) -> ReviewDue {
    ReviewDue { key: key.to_owned() }
}

/// A service with two entry points: everything is scheduled at the one, and decided and cancelled at the other.
fn manifest() -> Manifest {
    let timers = vec![EventRef::of::<Due>(), EventRef::of::<NewDue>(), EventRef::of::<ReviewDue>()];
    let entry = |name: &str, emits| Entry { name: name.to_owned(), emits, answers: None };
    let noted = vec![EventRef::of::<Noted>()];
    let entries = vec![
        entry("begin", vec![Emission::Maybe(noted.clone()), Emission::Scheduled(timers)]),
        entry("end", vec![Emission::Outcome(noted)]),
    ];
    let outlive_outcome = vec![EventRef::of::<ReviewDue>()];
    Manifest { service: "shelf".to_owned(), entries, reactions: Vec::new(), events: Vec::new(), outlive_outcome }
}

/// What may be emitted at both entry points.
fn emissions() -> Emissions {
    let manifest = manifest();
    let groups: Vec<_> = manifest.entries.iter().flat_map(|entry| entry.emits.clone()).collect();
    Emissions::of(&manifest, "test", groups)
}

async fn begin(db: &Db<Any>, saga: SagaId) -> Tx<Any> {
    db.begin(Correlation::of(saga), emissions()).await.unwrap()
}

/// A saga with a timer.
async fn scheduled(shelf: &Shelf, key: &str, after: Duration) -> SagaId {
    let saga = SagaId::new(&shelf.clock);
    let mut tx = begin(&shelf.db, saga).await;
    tx.emit_after(after, &due(key)).await.unwrap();
    tx.commit().await.unwrap();
    saga
}

/// The timers that are set: fact and key.
async fn timers(shelf: &Shelf) -> Vec<String> {
    let subjects = sqlx::query_scalar("select subject from pavane_timer order by subject");
    let subjects: Vec<String> = subjects.fetch_all(shelf.db.writers()).await.unwrap();
    subjects.iter().map(|subject| subject.trim_start_matches("events.shelf.").to_owned()).collect()
}

/// What was published, by its key.
async fn published(shelf: &Shelf) -> Vec<String> {
    let mut relay = shelf.relay();
    run_dry(&mut relay).await;
    relay.release().await.unwrap();
    let stored = shelf.bus.messages(EVENTS).into_iter().map(|stored| stored.message);
    let event = |message: pavane_bus::Message| codec::decode(&message.headers, message.payload, 1 << 20).unwrap();
    stored.map(event).map(|event| event.meta.key.to_string()).collect()
}

#[tokio::test]
async fn an_outcome_cancels_the_timers_that_were_set_before_it_and_no_others() {
    for shelf in Shelf::each().await {
        let saga = scheduled(&shelf, "early", HOUR).await;
        scheduled(&shelf, "another-sagas", HOUR).await;
        let mut tx = begin(&shelf.db, saga).await;
        tx.emit_after(HOUR, &NewDue { key: "in-the-same-transaction".to_owned() }).await.unwrap();
        tx.emit_after(HOUR, &review("outlives")).await.unwrap();
        assert_eq!(tx.decide(&noted("a", "won")).await.unwrap(), Decision::Won);
        tx.emit_after(HOUR, &due("late")).await.unwrap();
        tx.commit().await.unwrap();
        let left = ["due.another-sagas", "due.late", "review-due.outlives"];
        assert_eq!(timers(&shelf).await, left);
        // It has an outcome, so what was scheduled since is somebody's wish.
        let mut tx = begin(&shelf.db, saga).await;
        assert_eq!(tx.decide(&noted("a", "lost")).await.unwrap(), Decision::Lost);
        tx.commit().await.unwrap();
        assert_eq!(timers(&shelf).await, left);
    }
}

#[tokio::test]
async fn what_rolls_back_cancels_nothing() {
    for shelf in Shelf::each().await {
        let saga = scheduled(&shelf, "kept", Duration::ZERO).await;
        let mut tx = begin(&shelf.db, saga).await;
        assert_eq!(tx.decide(&noted("a", "x")).await.unwrap(), Decision::Won);
        tx.rollback().await.unwrap();
        let mut tx = begin(&shelf.db, saga).await;
        assert!(tx.cancel::<Due>().await.unwrap());
        drop(tx);
        assert_eq!(timers(&shelf).await, ["due.kept"]);
        // Outside of the transaction it would be gone, whatever became of the rest.
        let mut tx = begin(&shelf.db, saga).await;
        sqlx::query("rollback").execute(tx.conn()).await.unwrap();
        assert!(!tx.cancel::<Due>().await.unwrap());
        assert!(matches!(tx.commit().await, Err(Error::Ended)));
        assert_eq!(published(&shelf).await, ["kept"]);
    }
}

#[tokio::test]
async fn cancelling_tells_whether_there_was_a_timer() {
    for shelf in Shelf::each().await {
        let saga = scheduled(&shelf, "a", HOUR).await;
        let other = scheduled(&shelf, "others", HOUR).await;
        let mut tx = begin(&shelf.db, saga).await;
        assert!(tx.cancel::<Due>().await.unwrap(), "it was committed");
        assert!(!tx.cancel::<Due>().await.unwrap(), "it is cancelled");
        tx.emit_after(HOUR, &due("a")).await.unwrap();
        tx.emit_after(HOUR, &review("a")).await.unwrap();
        assert!(tx.cancel::<NewDue>().await.unwrap(), "it isn't written yet, and of an older version");
        assert!(!tx.cancel::<NewDue>().await.unwrap());
        for _ in 0..1500 {
            tx.emit_after(HOUR, &due("many")).await.unwrap();
        }
        assert!(tx.cancel::<Due>().await.unwrap(), "some are written, and some are not");
        tx.commit().await.unwrap();
        assert_eq!(timers(&shelf).await, ["due.others", "review-due.a"]);
        shelf.pass(HOUR).await;
        assert_eq!(published(&shelf).await.len(), 2);
        let mut tx = begin(&shelf.db, other).await;
        assert!(!tx.cancel::<Due>().await.unwrap(), "it was moved");
        let never = tx.cancel::<Noted>().await.unwrap_err();
        assert!(matches!(never, Error::NeverScheduled { .. }), "{never}");
        assert!(never.to_string().starts_with("shelf/test cancels shelf.noted v1, which its service never"), "{never}");
    }
}

/// A batch of events is one transaction, of several sagas.
#[tokio::test]
async fn one_saga_of_a_transaction_cancels_none_of_anothers_timers() {
    for shelf in Shelf::each().await {
        let sagas = ["a", "b", "c"].map(|key| (key, SagaId::new(&shelf.clock)));
        let mut tx = begin(&shelf.db, sagas[0].1).await;
        for (key, saga) in sagas {
            internal::enter(&mut tx, Cause::new(saga, shelf.clock.now()), emissions());
            tx.emit_after(HOUR, &due(key)).await.unwrap();
        }
        internal::enter(&mut tx, Cause::new(sagas[1].1, shelf.clock.now()), emissions());
        assert_eq!(tx.decide(&noted("b", "won")).await.unwrap(), Decision::Won);
        internal::enter(&mut tx, Cause::new(sagas[2].1, shelf.clock.now()), emissions());
        assert!(tx.cancel::<Due>().await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(timers(&shelf).await, ["due.a"]);
    }
}

/// Through the same code that handlers run, many sagas to a transaction. `TIMER_SAGAS` says how many sagas in all.
#[tokio::test(flavor = "multi_thread")]
async fn finished_sagas_leave_an_empty_timer_table_however_many_they_are() {
    const AT_ONCE: i64 = 500;
    let sagas: i64 = std::env::var("TIMER_SAGAS").map_or(4_000, |sagas| sagas.parse().unwrap());
    let shelf = Shelf::on_postgres().await;
    let (now, emissions, mut batches) = (shelf.clock.now(), emissions(), Vec::new());
    for _ in 0..sagas / AT_ONCE {
        let batch: Vec<_> = (0..AT_ONCE).map(|_| SagaId::new(&shelf.clock)).collect();
        let mut tx = begin(&shelf.db, batch[0]).await;
        for saga in &batch {
            internal::enter(&mut tx, Cause::new(*saga, now), emissions.clone());
            tx.emit_after(HOUR, &due("a")).await.unwrap();
        }
        tx.commit().await.unwrap();
        batches.push(batch);
    }
    assert_eq!(shelf.count("select count(*) from pavane_timer").await, sagas);
    let deciding = batches.chunks(batches.len().div_ceil(4)).map(|batches| {
        let (db, emissions, batches) = (shelf.db.clone(), emissions.clone(), batches.to_vec());
        tokio::spawn(async move {
            for sagas in batches {
                let mut tx = begin(&db, sagas[0]).await;
                for saga in sagas {
                    internal::enter(&mut tx, Cause::new(saga, now), emissions.clone());
                    assert_eq!(tx.decide(&noted("a", "won")).await.unwrap(), Decision::Won);
                }
                tx.commit().await.unwrap();
            }
        })
    });
    for worker in deciding.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(shelf.count("select count(*) from pavane_outcome").await, sagas);
    assert_eq!(shelf.count("select count(*) from pavane_timer").await, 0);
}

#[tokio::test]
async fn in_a_users_transaction_timers_are_cancelled_with_the_users_commit() {
    let shelf = Shelf::on_postgres().await;
    for commits in [false, true] {
        let saga = scheduled(&shelf, "early", HOUR).await;
        let mut tx = shelf.db.writers().begin().await.unwrap();
        let mut guest = shelf.db.guest(&mut *tx, Correlation::of(saga), emissions()).unwrap();
        guest.emit_after(HOUR, &due("same")).await.unwrap();
        assert!(guest.cancel::<Due>().await.unwrap());
        assert!(!guest.cancel::<Due>().await.unwrap());
        guest.emit_after(HOUR, &due("again")).await.unwrap();
        guest.emit_after(HOUR, &review("outlives")).await.unwrap();
        guest.emit(&noted("told", "")).await.unwrap();
        assert_eq!(guest.decide(&noted("decided", "")).await.unwrap(), Decision::Won);
        guest.emit_after(HOUR, &due("late")).await.unwrap();
        assert_eq!(guest.decide(&noted("lost", "")).await.unwrap(), Decision::Lost);
        assert!(matches!(guest.cancel::<Noted>().await, Err(Error::NeverScheduled { .. })));
        if commits {
            tx.commit().await.unwrap();
            assert_eq!(timers(&shelf).await, ["due.early", "due.late", "review-due.outlives"]);
        } else {
            tx.rollback().await.unwrap();
            assert_eq!(timers(&shelf).await, ["due.early"]);
        }
    }
    // The first saga's is the one that is left.
    assert_eq!(published(&shelf).await, ["told", "decided"]);
}

/// What a statement says that is run in a transaction of its own; or why it was refused, and what is advised.
async fn ask(shelf: &Shelf, sql: String) -> Result<bool, (String, String)> {
    let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(shelf.db.writers()).await;
    answer.map_err(|error: sqlx::Error| {
        let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
        (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
    })
}

#[tokio::test]
async fn from_sql_timers_are_cancelled_by_hand_and_by_the_outcome() {
    let shelf = Shelf::on_postgres().await;
    shelf.db.declare_entries(&manifest()).await.unwrap();
    let saga = scheduled(&shelf, "early", HOUR).await;
    let document = |entry: &str, event: &str, more: &str| {
        format!(
            "pavane_emit('{{\"entry\": \"{entry}\", \"type\": \"{event}\", \"key\": \"sql\", \"data\": {{}}, \
                 \"saga\": \"{saga}\"{more}}}')"
        )
    };
    let cancel = |event: &str| format!("select pavane_cancel('end', '{event}', '{saga}')");
    assert!(ask(&shelf, cancel("shelf.due")).await.unwrap());
    assert!(!ask(&shelf, cancel("shelf.due")).await.unwrap());
    for (event, key) in [("shelf.due", ", \"version\": 1"), ("shelf.review-due", "")] {
        let later = document("begin", event, &format!("{key}, \"after\": 3600"));
        assert!(ask(&shelf, format!("select ({later} ->> 'emitted')::boolean")).await.unwrap());
    }
    assert_eq!(timers(&shelf).await, ["due.sql", "review-due.sql"]);
    let later = document("begin", "shelf.due", ", \"version\": 2, \"after\": 3600");
    let decide = document("end", "shelf.noted", ", \"decides\": true");
    let script = |end: &str| sqlx::AssertSqlSafe(format!("begin; select {later}::text; select {decide}::text; {end}"));
    for (end, left) in [("rollback", vec!["due.sql", "review-due.sql"]), ("commit", vec!["review-due.sql"])] {
        sqlx::raw_sql(script(end)).execute(&mut *shelf.db.writer().await.unwrap()).await.unwrap();
        assert_eq!(timers(&shelf).await, left, "{end}");
    }
    for (call, message, hint) in [
        (
            cancel("shelf.noted"),
            "shelf/end cancels shelf.noted, which its service never schedules",
            "it schedules: shelf.due, shelf.review-due",
        ),
        (cancel("shelf.due").replace("end", "pay"), "there is no entry point \"pay\"", "there are: begin, end"),
        (
            "select pavane_cancel('end', 'shelf.due', null)".to_owned(),
            "pavane_cancel needs an entry point, an event and a saga",
            "for example: pavane_cancel('pay', 'billing.reminder-due', '0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000')",
        ),
    ] {
        let (said, advised) = ask(&shelf, call).await.unwrap_err();
        assert_eq!((&*said, &*advised), (message, hint));
    }
}
