//! A service whose role at PostgreSQL may read and write rows, and nothing else: another role makes the tables.

use std::{sync::Arc, time::Duration};

use pavane::{
    Config, Correlation,
    any::Db,
    database::{Config as DbConfig, Dialect},
};
use pavane_bus::Memory;
use pavane_contract::SystemClock;
use pavane_inbox::{INBOX, forget, keep_partitions};
use pavane_outbox::migration::OUTBOX;
use pavane_testkit::servers::Postgres;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::stage::{Stage, Started, State, service};

/// What the operations manual says, as the tables' owner.
const GRANTS: &str = "alter default privileges grant select, insert, update, delete on tables to clerk; \
                      alter default privileges grant usage on sequences to clerk";

/// The URLs of a database, for the role that owns it and for the service's.
async fn urls() -> (String, String) {
    static ROLES: OnceCell<()> = OnceCell::const_new();
    let postgres = Postgres::shared().await.unwrap();
    let url = postgres.fresh_database().await.unwrap();
    let admin = open(&url).await;
    let name = url.rsplit('/').next().unwrap();
    ROLES.get_or_init(async || run(&admin, "create role smith login; create role clerk login").await).await;
    let prepare = format!(
        "alter database {name} owner to smith; revoke all on database {name} from public; \
         grant connect on database {name} to clerk; \
         alter schema public owner to smith; revoke create on schema public from public"
    );
    run(&admin, &prepare).await;
    let (smith, clerk) = (url.replace("postgres@", "smith@"), url.replace("postgres@", "clerk@"));
    run(&open(&smith).await, GRANTS).await;
    (smith, clerk)
}

async fn open(url: &str) -> Db {
    Db::open(DbConfig::new("stage", url)).await.unwrap()
}

async fn run(db: &Db, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(db.writers()).await.unwrap();
}

/// Why the service doesn't start.
async fn refusal(url: &str) -> String {
    let bus = Memory::new(Arc::new(SystemClock));
    let connected = service(State::default()).connect_to(open(url).await, bus, Config::new("")).await;
    pavane_outbox::chain(&connected.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_runs_a_service_whose_tables_another_one_made() {
    let (smith, clerk) = urls().await;
    service(State::default()).migrate(&open(&smith).await).await.unwrap();
    let folder = || TempDir::new().unwrap();
    let stage = Stage::open((clerk, folder())).await;
    let saga = stage.start("poor").await;
    stage.settle().await;
    stage.cancel(saga, "poor").await;
    stage.settle().await;
    assert_eq!(stage.done("poor").await, ["charge", "refund", "step", "undo-step"]);
    stage.start("reject-poor").await;
    stage.settle().await;
    assert!(stage.said("reject-poor").contains(&"stage.failed".to_owned()));
    let mut tx = stage.db.writers().begin().await.unwrap();
    let started = Started { key: "guest".to_owned() };
    stage.entry().within(&mut tx, Correlation::start()).unwrap().emit(&started).await.unwrap();
    tx.commit().await.unwrap();
    stage.settle().await;
    assert_eq!(stage.done("guest").await, ["charge", "step"]);
    // The weeks to come are there from the migration, so nothing has to be made yet.
    keep_partitions(&stage.db, Duration::from_hours(45 * 24)).await.unwrap();
    assert!(!forget(&stage.db, Duration::ZERO).await.unwrap());
    let stage = stage.restart().await;
    stage.start("again").await;
    stage.settle().await;
    assert_eq!(stage.done("again").await, ["charge", "step"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_does_not_start_where_some_are_missing() {
    let (smith, clerk) = urls().await;
    for schema in [&OUTBOX, &INBOX] {
        let refused = refusal(&clerk).await;
        assert!(refused.contains("permission denied for schema public"), "{refused}");
        open(&smith).await.migrate(schema).await.unwrap();
    }
    let refused = refusal(&clerk).await;
    assert!(refused.starts_with("the service's own tables can't be brought up to date"), "{refused}");
    assert!(refused.contains("permission denied for schema public"), "{refused}");
    service(State::default()).migrate(&open(&smith).await).await.unwrap();
    drop(Stage::open((clerk.clone(), TempDir::new().unwrap())).await);
    // A migration that a newer version ran is not overlooked.
    let newer = "insert into pavane_inbox_migrations (version, description, success, checksum, execution_time) \
                 values (99, 'newer', true, '', 0)";
    run(&open(&smith).await, newer).await;
    assert!(!refusal(&clerk).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_runs_a_service_whose_tables_another_tool_made() {
    let (smith, clerk) = urls().await;
    let db = open(&smith).await;
    // As a tool runs a file: all of it at once.
    let exported = [&OUTBOX, &INBOX].into_iter().flat_map(|schema| schema.exported(Dialect::Postgres));
    run(&db, &exported.map(|migration| migration.sql).collect::<String>()).await;
    // The service's own tables are here the business of its own migrations.
    service(State::default()).migrate(&db).await.unwrap();
    let applied = "select count(*) from pavane_outbox_migrations where execution_time > 0";
    let applied: i64 = sqlx::query_scalar(applied).fetch_one(db.writers()).await.unwrap();
    assert_eq!(applied, 0, "nothing was left to do");
    let stage = Stage::open((clerk, TempDir::new().unwrap())).await;
    let saga = stage.start("poor").await;
    stage.settle().await;
    stage.cancel(saga, "poor").await;
    stage.settle().await;
    assert_eq!(stage.done("poor").await, ["charge", "refund", "step", "undo-step"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_ran_another_migration_than_this_is_noticed() {
    let (smith, _) = urls().await;
    let exported = OUTBOX.exported(Dialect::Postgres);
    let sql: String = exported.into_iter().map(|migration| migration.sql).collect();
    run(&open(&smith).await, &sql).await;
    run(&open(&smith).await, "update pavane_outbox_migrations set checksum = '' where version = 1").await;
    let refused = refusal(&smith).await;
    assert!(refused.contains("migration 1 was previously applied but has been modified"), "{refused}");
}
