//! Connections that die around the commit of a user's transaction, and a database that does.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use pavane_choreography::{Entry, Manifest};
use pavane_contract::{Clock as _, SystemClock};
use pavane_outbox::{Config, Correlation, Db, Emissions, migration::OUTBOX};
use pavane_testkit::servers::{self, Direction, Proxy, Tools};
use sqlx::{Connection as _, PgConnection, Postgres, postgres::PgConnectOptions};
use tokio::task::JoinSet;

use crate::shelf::{Shelf, everything, noted, run_dry};

const WORKERS: u64 = 8;
const EACH: u64 = 1250;

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// Nothing.
    Spared,
    /// The server ends the session.
    Terminated,
    /// The network resets the connection, as when the client's process dies.
    Cut,
    /// The server carries on for a moment, and its answer is lost.
    Unanswered,
}

/// The step of a transaction at which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Insert,
    Emit,
    Commit,
}

/// Mostly at the commit.
fn fate() -> (Kill, Step, u64) {
    let dice = SystemClock.random();
    let kill = match dice % 8 {
        0 => Kill::Terminated,
        1 => Kill::Cut,
        2 => Kill::Unanswered,
        _ => Kill::Spared,
    };
    let step = match (dice >> 8) % 8 {
        0 => Step::Insert,
        1 => Step::Emit,
        _ => Step::Commit,
    };
    (kill, step, (dice >> 16) % 24)
}

struct Worker {
    db: Db<Postgres>,
    proxy: Proxy,
    options: PgConnectOptions,
    conn: Option<(PgConnection, i32)>,
}

impl Worker {
    async fn new(db: Db<Postgres>, url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], options.get_port()));
        let proxy = Proxy::start(server).await.unwrap();
        let options = options.port(proxy.address().port());
        Self { db, proxy, options, conn: None }
    }

    async fn connected(&mut self) -> (PgConnection, i32) {
        loop {
            if let Some(open) = self.conn.take() {
                return open;
            }
            let Ok(mut conn) = PgConnection::connect_with(&self.options).await else { continue };
            let Ok(pid) = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut conn).await else { continue };
            self.conn = Some((conn, pid));
        }
    }

    /// One transaction of a user. Returns whether the user was told that it is committed.
    async fn pay(&mut self, id: i64) -> bool {
        let (mut conn, pid) = self.connected().await;
        let (kill, at, delay) = fate();
        let work = async {
            let mut tx = conn.begin().await?;
            for step in [Step::Insert, Step::Emit] {
                let doing = async {
                    match step {
                        Step::Insert => insert(&mut tx, id).await,
                        Step::Emit | Step::Commit => emit(&self.db, &mut tx, id).await,
                    }
                };
                if step == at {
                    let (done, ()) = tokio::join!(doing, self.kill(kill, pid, delay));
                    done?;
                } else {
                    doing.await?;
                }
            }
            let (committed, ()) = if at == Step::Commit {
                tokio::join!(tx.commit(), self.kill(kill, pid, delay))
            } else {
                (tx.commit().await, ())
            };
            committed.map_err(pavane_outbox::Error::from)
        };
        let committed = work.await.is_ok();
        if kill == Kill::Spared {
            assert!(committed, "it failed, and nobody killed it");
            self.conn = Some((conn, pid));
        }
        committed
    }

    async fn kill(&self, kill: Kill, pid: i32, delay: u64) {
        if kill == Kill::Unanswered {
            self.proxy.black_hole(Direction::ToClient);
        }
        for _ in 0..delay {
            tokio::task::yield_now().await;
        }
        match kill {
            Kill::Spared => {}
            Kill::Terminated => {
                let terminate = sqlx::query("select pg_terminate_backend($1)").bind(pid);
                terminate.execute(self.db.writers()).await.unwrap();
            }
            Kill::Cut => self.proxy.cut(),
            Kill::Unanswered => {
                // Long enough for the server to have done what it was asked for.
                sqlx::query("select 1").execute(self.db.writers()).await.unwrap();
                self.proxy.cut();
                self.proxy.heal();
            }
        }
    }
}

async fn insert(tx: &mut PgConnection, id: i64) -> Result<(), pavane_outbox::Error> {
    sqlx::query("insert into business (id) values ($1)").bind(id).execute(tx).await?;
    Ok(())
}

/// Every other event as a guest does, and the rest as anybody does who has SQL.
async fn emit(db: &Db<Postgres>, tx: &mut PgConnection, id: i64) -> Result<(), pavane_outbox::Error> {
    if id % 2 == 0 {
        let mut guest = db.guest(tx, Correlation::start(), Emissions::new("shelf/pay", everything()))?;
        return guest.emit(&noted(&id.to_string(), "paid")).await;
    }
    emit_from_sql(tx, id).await
}

async fn emit_from_sql(conn: &mut PgConnection, id: i64) -> Result<(), pavane_outbox::Error> {
    let emit = "select pavane_emit(jsonb_build_object('entry', 'pay', 'type', 'shelf.noted', 'key', $1, \
                'data', jsonb_build_object('key', $1, 'text', 'paid')))";
    sqlx::query(emit).bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// The database of a service that has told of its entry point.
async fn service(url: &str) -> Db<Postgres> {
    let pay = Entry { name: "pay".to_owned(), emits: everything(), answers: None };
    let manifest = Manifest {
        service: "shelf".to_owned(),
        entries: vec![pay],
        reactions: Vec::new(),
        events: Vec::new(),
        outlive_outcome: Vec::new(),
    };
    let db = Db::open(Config::new("shelf", url)).await.unwrap();
    db.migrate(&OUTBOX).await.unwrap();
    db.declare_entries(&manifest).await.unwrap();
    db
}

/// The rows, and the rows that events tell of.
async fn books(db: &Db<Postgres>) -> (Vec<i64>, Vec<i64>) {
    let rows = sqlx::query_scalar("select id from business order by id").fetch_all(db.writers()).await.unwrap();
    let events = "select (convert_from(payload, 'UTF8')::json ->> 'key')::bigint from pavane_outbox join pavane_unsent using (seq) order by 1";
    (rows, sqlx::query_scalar(events).fetch_all(db.writers()).await.unwrap())
}

#[tokio::test]
async fn a_crash_of_the_database_loses_no_event_that_was_committed_or_prepared() {
    let mut server = servers::Postgres::start(&Tools::from_env()).await.unwrap();
    let url = server.create_database("shelf").await.unwrap();
    let db = service(&url).await;
    let run = async |db: &Db<Postgres>, sql| sqlx::raw_sql(sql).execute(db.writers()).await.map(drop);
    run(&db, "create table business (id bigint primary key)").await.unwrap();
    run(&db, "alter system set max_prepared_transactions = 1").await.unwrap();
    server.restart().await.unwrap();
    let db = service(&url).await;
    for (id, end) in [(1, "commit"), (2, "commit"), (3, "prepare transaction 'three'"), (4, "savepoint unfinished")] {
        let mut conn = db.writers().acquire().await.unwrap().detach();
        run_on(&mut conn, "begin").await;
        insert(&mut conn, id).await.unwrap();
        emit_from_sql(&mut conn, id).await.unwrap();
        run_on(&mut conn, end).await;
    }
    server.restart().await.unwrap();
    let db = service(&url).await;
    assert_eq!(books(&db).await, (vec![1, 2], vec![1, 2]));
    run(&db, "commit prepared 'three'").await.unwrap();
    assert_eq!(books(&db).await, (vec![1, 2, 3], vec![1, 2, 3]));
    let mut conn = db.writers().acquire().await.unwrap();
    insert(&mut conn, 5).await.unwrap();
    emit_from_sql(&mut conn, 5).await.unwrap();
    assert_eq!(books(&db).await, (vec![1, 2, 3, 5], vec![1, 2, 3, 5]));
}

async fn run_on(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_thousand_transactions_that_are_killed_around_their_commit_none_has_a_ghost_and_none_loses_its_event() {
    let shelf = Shelf::on_postgres().await;
    shelf.run("create table business (id bigint primary key)").await;
    let db = service(shelf.url()).await;
    let url: Arc<str> = shelf.url().into();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (db, url) = (db.clone(), Arc::clone(&url));
        workers.spawn(async move {
            let mut payer = Worker::new(db, &url).await;
            let mut told = BTreeSet::new();
            for number in 0..EACH {
                let id = i64::try_from(worker * EACH + number).unwrap();
                if payer.pay(id).await {
                    told.insert(id);
                }
            }
            told
        });
    }
    let told: BTreeSet<i64> = workers.join_all().await.into_iter().flatten().collect();
    // A server that was cut off may still be at a commit.
    let busy = "select count(*) from pg_stat_activity where datname = current_database() and xact_start is not null \
                and pid <> pg_backend_pid()";
    while shelf.count(busy).await > 0 {
        tokio::task::yield_now().await;
    }
    let (rows, events) = books(&db).await;
    let kept: BTreeSet<i64> = rows.iter().copied().collect();
    assert_eq!(rows, events, "a row without its event, or an event without its row");
    assert!(told.is_subset(&kept), "what was committed is gone");
    assert_eq!(run_dry(&mut shelf.relay()).await, rows.len());
    assert_eq!(shelf.count("select count(*) from pavane_staged").await, 0);
    // It kills often enough, on both sides of the commit.
    let (total, untold) = (usize::try_from(WORKERS * EACH).unwrap(), kept.len() - told.len());
    assert!(total - kept.len() > 1000, "{} of {total} were killed before their commit", total - kept.len());
    assert!(untold > 100, "{untold} of {total} were committed, and nobody was told");
}
