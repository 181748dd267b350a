//! Handlers that hide from the framework that their transaction is lost.
//!
//! PostgreSQL answers `ROLLBACK` to the `COMMIT` of an aborted transaction, and the driver calls that a success.

use std::{sync::Arc, time::Duration};

use pavane::{
    Config, Correlation, Envelope, Event, Handled, SagaId,
    any::{App, Db, Service, Tx},
    database::{Config as DbConfig, Dialect, Emissions, Error},
    internal::into_parts,
    on,
};
use pavane_bus::{Bus as _, Memory, Outgoing, topology::DEAD_LETTERS};
use pavane_contract::{EventId, SystemClock, codec, subject};
use pavane_inbox::{Consumer, dead_letter::Progress, internal::turn_now};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    Acquire as _, Any, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use tempfile::TempDir;

use crate::stage::{databases, envelope, until};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "writer.noted", key = key)]
struct Noted {
    key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "clerk.filed", key = key)]
struct Filed {
    key: String,
}

const INSERT: &str = "insert into filed (key) values ($1)";

/// Files a note. "It is there already, so all is well" is what hides the error.
async fn file((): &(), tx: &mut Tx, noted: &Envelope<Noted>) -> Handled {
    let key = noted.key.as_str();
    match key.split('-').next() {
        // A savepoint: what a handler should do.
        Some("careful") => {
            let mut careful = tx.conn().begin().await?;
            match sqlx::query(INSERT).bind("taken").execute(&mut *careful).await {
                Ok(_) => careful.commit().await?,
                Err(_) => careful.rollback().await?,
            }
        }
        Some("commits") => sqlx::raw_sql("commit").execute(tx.conn()).await.map(drop)?,
        Some("rolls") => sqlx::raw_sql("rollback").execute(tx.conn()).await.map(drop)?,
        Some("restarts") => sqlx::raw_sql("rollback; begin").execute(tx.conn()).await.map(drop)?,
        _ => {}
    }
    drop(sqlx::query(INSERT).bind(key.to_owned()).execute(tx.conn()).await);
    if key.ends_with("told") {
        tx.emit(&Filed { key: key.to_owned() }).await?;
    }
    Ok(())
}

struct Desk {
    db: Db,
    bus: Memory,
    consumer: Consumer<(), Any, Memory>,
    _folder: TempDir,
}

impl Desk {
    async fn open((url, folder): (String, TempDir)) -> Self {
        let bus = Memory::new(Arc::new(SystemClock));
        let db = Db::open(DbConfig::new("clerk", &url)).await.unwrap();
        let quick = |tuning: &mut pavane::Tuning| {
            (tuning.max_attempts, tuning.backoff_base) = (3, Duration::from_millis(4));
        };
        let table = "create table filed (key text primary key)".into_sql_str();
        let tables =
            Migrator::with_migrations(vec![Migration::new(1, "f".into(), MigrationType::Simple, table, false)]);
        let service =
            Service::new("clerk", ()).migrations(tables).react("file", on(file).may_emit::<Filed>().tuned(quick));
        let app: App<(), Memory> = service.connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        sqlx::query(INSERT).bind("taken").execute(db.writers()).await.unwrap();
        let consumer = into_parts(app).0.into_iter().next().unwrap();
        Self { db, bus, consumer, _folder: folder }
    }

    /// Publishes notes, and handles them as one batch.
    async fn batch(&mut self, keys: &[String]) {
        for key in keys {
            let id = EventId::new(&SystemClock);
            let event = envelope(id, SagaId::new(&SystemClock), &Noted { key: key.clone() });
            let (subject, headers) = (subject::of(&event.meta.event, &event.meta.key), codec::encode(&event));
            let outgoing = Outgoing { subject, headers, payload: event.body, message_id: id.to_string() };
            self.bus.publish(vec![outgoing]).await.remove(0).unwrap();
        }
        assert_eq!(turn_now(&mut self.consumer, keys.len()).await.unwrap(), keys.len(), "all in one batch");
    }

    /// Handles what comes again, until nothing does.
    async fn settle(&mut self) {
        let (bus, consumer) = (self.bus.clone(), tokio::sync::Mutex::new(&mut self.consumer));
        until("all notes to be dealt with", || async {
            turn_now(*consumer.lock().await, 64).await.unwrap();
            let pending = bus.pending("clerk_file").unwrap();
            (pending.unsettled + pending.undelivered == 0).then_some(())
        })
        .await;
        let mut dead_letters = self.consumer.dead_letters();
        while dead_letters.turn().await.unwrap() == Progress::Published {}
    }

    async fn filed(&self) -> Vec<String> {
        sqlx::query_scalar("select key from filed order by key").fetch_all(self.db.readers()).await.unwrap()
    }

    /// What waits to be published, of this service.
    async fn emitted(&self) -> Vec<String> {
        let subjects = "select subject from pavane_outbox order by subject";
        sqlx::query_scalar(subjects).fetch_all(self.db.readers()).await.unwrap()
    }

    /// Key and cause of what was given up.
    fn dead(&self) -> Vec<(String, String)> {
        let dead = self.bus.messages(DEAD_LETTERS).into_iter().map(|dead| {
            let key = dead.message.subject.rsplit('.').next().unwrap().to_owned();
            (key, dead.message.headers.get("pavane-dead-cause").unwrap().to_owned())
        });
        dead.collect()
    }
}

/// Forty notes and, among them, one with a key that is not as the others.
fn forty_and(odd: &str, suffix: &str) -> Vec<String> {
    let mut keys: Vec<_> = (0..40).map(|number| format!("note-{number:02}{suffix}")).collect();
    keys.insert(17, odd.to_owned());
    keys
}

#[tokio::test]
async fn an_sql_error_that_a_handler_swallows_loses_nothing_but_a_dead_letter_that_says_why() {
    for database in databases().await {
        for suffix in ["", "-told"] {
            let mut desk = Desk::open((fresh(&database.0, suffix).await, TempDir::new().unwrap())).await;
            // Its unique key is there already.
            let odd = if suffix.is_empty() { "taken" } else { "taken-told" };
            sqlx::query("insert into filed (key) values ('taken-told')").execute(desk.db.writers()).await.unwrap();
            desk.batch(&forty_and(odd, suffix)).await;
            desk.settle().await;
            let noted = desk.filed().await.into_iter().filter(|key| key.starts_with("note-")).count();
            assert_eq!(noted, 40, "the others of its batch are kept");
            let told = if suffix.is_empty() { 0 } else { 40 };
            match desk.db.dialect() {
                Dialect::Postgres => {
                    assert_eq!(desk.emitted().await.len(), told);
                    let dead = desk.dead();
                    assert_eq!(dead.len(), 1, "{dead:?}");
                    assert_eq!(dead[0].0, odd);
                    assert!(
                        dead[0].1.contains("the error was not passed on") && dead[0].1.contains("savepoint"),
                        "{dead:?}"
                    );
                }
                // There a statement that fails leaves the transaction as it was.
                Dialect::Sqlite => {
                    assert_eq!(desk.emitted().await.len(), if told == 0 { 0 } else { 41 });
                    assert_eq!(desk.dead(), []);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_nested_begin_is_a_savepoint_and_keeps_the_rest() {
    for database in databases().await {
        let mut desk = Desk::open(database).await;
        desk.batch(&["careful-told".to_owned(), "note-told".to_owned()]).await;
        desk.settle().await;
        assert_eq!(desk.filed().await, ["careful-told", "note-told", "taken"]);
        assert_eq!((desk.emitted().await.len(), desk.dead().len()), (2, 0));
    }
}

#[tokio::test]
async fn a_handler_that_ends_its_transaction_itself_is_a_dead_letter_and_nothing_is_lost() {
    for odd in ["commits", "rolls", "restarts", "commits-told", "rolls-told", "restarts-told"] {
        for database in databases().await {
            let mut desk = Desk::open((fresh(&database.0, odd).await, TempDir::new().unwrap())).await;
            let keys = forty_and(odd, if odd.ends_with("told") { "-told" } else { "" });
            desk.batch(&keys).await;
            desk.settle().await;
            let (filed, emitted, dead) = (desk.filed().await, desk.emitted().await, desk.dead());
            for key in keys {
                let is_dead = dead.iter().any(|(dead, _)| *dead == key);
                let is_told = emitted.iter().any(|subject| subject.ends_with(&format!(".{key}")));
                let is_done = filed.contains(&key) && is_told == key.ends_with("told");
                assert!(is_dead || is_done, "{key} is lost: {odd} on {:?}", desk.db.dialect());
            }
            let says_so = |(key, cause): &(String, String)| key == odd && cause.contains("ended its transaction");
            assert!(dead.iter().any(says_so), "{odd} on {:?}: {dead:?}", desk.db.dialect());
        }
    }
}

#[tokio::test]
async fn an_entry_point_is_told_that_nothing_was_committed() {
    for database in databases().await {
        let desk = Desk::open(database).await;
        let emissions = || Emissions::new("clerk/desk", vec![]);
        let mut tx = desk.db.begin(Correlation::start(), emissions()).await.unwrap();
        drop(sqlx::query(INSERT).bind("taken").execute(tx.conn()).await);
        let committed = tx.commit().await;
        match desk.db.dialect() {
            Dialect::Postgres => assert!(matches!(committed, Err(Error::Aborted)), "{committed:?}"),
            Dialect::Sqlite => committed.unwrap(),
        }
        let mut tx = desk.db.begin(Correlation::start(), emissions()).await.unwrap();
        sqlx::raw_sql("rollback; begin").execute(tx.conn()).await.unwrap();
        let committed = tx.commit().await;
        assert!(matches!(committed, Err(Error::Ended)), "{committed:?}");
    }
}

/// Another database like `url`, for one more case.
async fn fresh(url: &str, suffix: &str) -> String {
    if url.starts_with("sqlite:") {
        return format!("{url}{suffix}");
    }
    pavane_testkit::servers::Postgres::shared().await.unwrap().fresh_database().await.unwrap()
}
