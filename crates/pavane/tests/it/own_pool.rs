//! A service on a pool that is its user's.

use std::sync::Arc;

use pavane::{
    Config, Correlation, Envelope, Handled,
    database::Error,
    on,
    postgres::{App, Db, Entry, Service, Tx},
    undo,
};
use pavane_bus::Memory;
use pavane_contract::SystemClock;
use pavane_testkit::servers::{Nats, PgBouncer, PoolMode, Postgres, Tools};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::stage::{Cancelled, Started, Stepped, Undone, until};

const START: pavane::EntryPoint = pavane::EntryPoint::new("start");

async fn bill((): &(), tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    let key = started.key.clone();
    // An array is a type that the driver for any database doesn't have.
    let insert = sqlx::query("insert into bills (key, lines) values ($1, $2)").bind(&key).bind(vec![19_i64, 99]);
    insert.execute(tx.conn()).await?;
    tx.emit(&Stepped { key }).await?;
    Ok(())
}

async fn unbill((): &(), tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    let key = stepped.key.clone();
    sqlx::query("delete from bills where key = $1").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Undone { key }).await?;
    Ok(())
}

fn service() -> Service<()> {
    Service::new("stage", ())
        .entry(&START, pavane::Declared::emits::<(Started, Cancelled)>)
        .react("bill", on(bill).emits::<Stepped>())
        .react("unbill", undo(unbill).when::<Cancelled>().emits::<Undone>())
}

/// What the user has from before: tables of their own, made by their own tool.
const TABLES: &str = "create table bills (key text not null, lines bigint[] not null)";

async fn url() -> String {
    Postgres::shared().await.unwrap().fresh_database().await.unwrap()
}

async fn pool(url: &str, options: PgPoolOptions, settings: [(&str, &str); 1]) -> PgPool {
    let connect: PgConnectOptions = url.parse().unwrap();
    options.connect_with(connect.options(settings)).await.unwrap()
}

async fn run_sql(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// A service that runs beside a real NATS server.
struct Running {
    nats: Nats,
    start: Entry,
    stop: oneshot::Sender<()>,
    service: JoinHandle<Result<(), pavane::Error>>,
}

impl Running {
    async fn on(pool: &PgPool) -> Self {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        let db = Db::from_pool("stage", pool.clone());
        let app: App<_> = service().connect_with(db, Config::new(nats.url())).await.unwrap();
        let start = app.entry(&START);
        let (stop, stopped) = oneshot::channel::<()>();
        let service = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
        Self { nats, start, stop, service }
    }

    /// Orders, has it billed, cancels, and has the bill undone.
    async fn bill_and_undo(&self, pool: &PgPool, key: &str) {
        let bills = async || {
            let count = sqlx::query_scalar::<_, i64>("select count(*) from bills where key = $1").bind(key);
            count.fetch_one(pool).await.unwrap()
        };
        let mut tx = self.start.begin(Correlation::start()).await.unwrap();
        let saga = tx.saga();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
        until("the bill", || async { (bills().await == 1).then_some(()) }).await;
        let mut tx = self.start.begin(Correlation::of(saga)).await.unwrap();
        tx.emit(&Cancelled { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
        until("the bill to be undone", || async { (bills().await == 0).then_some(()) }).await;
    }

    async fn stop(self) {
        drop(self.stop);
        self.service.await.unwrap().unwrap();
        drop(self.nats);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_runs_on_its_users_pool_and_leaves_it_open() {
    let url = url().await;
    run_sql(&PgPool::connect(&url).await.unwrap(), "create schema billing").await;
    let options = PgPoolOptions::new().max_connections(4).min_connections(1);
    let pool = pool(&url, options, [("search_path", "billing")]).await;
    run_sql(&pool, TABLES).await;
    let running = Running::on(&pool).await;
    running.bill_and_undo(&pool, "one").await;
    running.stop().await;
    let elsewhere = "select count(*) from pg_class join pg_namespace on pg_namespace.oid = relnamespace \
                     where relname like 'pavane%' and nspname <> 'billing'";
    assert_eq!(count(&pool, elsewhere).await, 0, "the pool is open, and all tables are where its search_path says");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_is_enough() {
    let url = url().await;
    let pool = pool(&url, PgPoolOptions::new().max_connections(1), [("application_name", "billing")]).await;
    run_sql(&pool, TABLES).await;
    let running = Running::on(&pool).await;
    for key in ["one", "two", "three"] {
        running.bill_and_undo(&pool, key).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_its_users_pool_that_are_distrusted_are_not_used_again() {
    let options = PgPoolOptions::new().max_connections(3).test_before_acquire(false);
    let pool = options.connect(&url().await).await.unwrap();
    let db = Db::from_pool("stage", pool.clone());
    let take = async || {
        let mut taken = db.writer().await.unwrap();
        let process: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *taken).await.unwrap();
        (taken, process)
    };
    let ((busy, one), (idle, other)) = (take().await, take().await);
    drop(idle);
    until("the connection to come back", || async { (pool.num_idle() == 1).then_some(()) }).await;
    db.distrust();
    drop(busy);
    let (new, newer, newest) = (take().await, take().await, take().await);
    for (_connection, process) in [new, newer, newest] {
        assert!(![one, other].contains(&process));
    }
}

async fn refusal(db: Db) -> String {
    let bus = Memory::new(Arc::new(SystemClock));
    service().connect_to(db, bus, Config::new("")).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_commits_do_not_wait_for_the_disk_is_refused() {
    let pool = pool(&url().await, PgPoolOptions::new(), [("synchronous_commit", "off")]).await;
    let refused = refusal(Db::from_pool("stage", pool)).await;
    let expected = "the database's synchronous_commit = off can't be used: a crash of PostgreSQL would forget commits";
    assert!(refused.starts_with(expected), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_would_emit_in_the_name_of_another_service_is_refused() {
    let pool = PgPool::connect(&url().await).await.unwrap();
    let refused = refusal(Db::from_pool("billing", pool)).await;
    let expected = "the service of its Db = \"billing\" can't be used: the service is \"stage\"";
    assert!(refused.starts_with(expected), "{refused}");
}

/// A pool that leads through `PgBouncer` to a new database, and one that doesn't.
async fn bounced(mode: PoolMode) -> (PgBouncer, PgPool, PgPool) {
    let url = url().await;
    let bouncer = PgBouncer::start(&Tools::from_env(), Postgres::shared().await.unwrap(), mode).await;
    let bouncer = bouncer.unwrap_or_else(|error| panic!("failed to {error}"));
    let options = PgPoolOptions::new().max_connections(4);
    let pool = options.connect(&bouncer.url(url.rsplit('/').next().unwrap())).await.unwrap();
    (bouncer, pool, PgPool::connect(&url).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_through_pgbouncer_in_transaction_mode_is_refused() {
    let (_bouncer, pool, _) = bounced(PoolMode::Transaction).await;
    // It is looked for: what comes later, as migrations, would notice only if two statements happen to meet.
    let checked = Db::from_pool("stage", pool.clone()).check().await;
    assert!(matches!(checked, Err(Error::Pooler(_))), "{checked:?}");
    let refused = refusal(Db::from_pool("stage", pool)).await;
    let expected = "a connection pooler between here and PostgreSQL mixes up prepared statements";
    assert!(refused.starts_with(expected) && refused.contains("pool_mode = session"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_through_pgbouncer_in_session_mode_works_and_so_do_guests_and_sql() {
    let (_bouncer, pool, direct) = bounced(PoolMode::Session).await;
    run_sql(&pool, TABLES).await;
    let running = Running::on(&pool).await;
    running.bill_and_undo(&pool, "one").await;
    let mut tx = pool.begin().await.unwrap();
    let mut guest = running.start.within(&mut tx, Correlation::start()).unwrap();
    guest.emit(&Started { key: "guest".to_owned() }).await.unwrap();
    drop(guest);
    let emit = "select pavane_emit('{\"entry\":\"start\",\"type\":\"stage.started\",\"key\":\"sql\",\"data\":{\"key\":\"sql\"}}')";
    sqlx::query(emit).execute(&mut *tx).await.unwrap();
    let bills = "select count(*) from bills where key in ('guest', 'sql')";
    assert_eq!(count(&direct, bills).await, 0);
    tx.commit().await.unwrap();
    running.start.nudge();
    until("both bills", || async { (count(&direct, bills).await == 2).then_some(()) }).await;
    running.stop().await;
}
