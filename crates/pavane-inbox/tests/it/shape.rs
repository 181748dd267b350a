//! The tables as they are, and what the ledger has room for that nothing writes yet.

use std::time::Duration;

use pavane_contract::{Clock as _, SagaId};
use pavane_inbox::forget;
use pavane_outbox::{Db, Dialect};
use sqlx::Any;
use tempfile::TempDir;

use crate::{
    clock::Ahead,
    stage::{Stage, fresh_url},
};

const RETENTION: Duration = Duration::from_hours(45 * 24);

/// Columns, keys, indexes, triggers and functions on PostgreSQL, one a line.
const ON_POSTGRES: [&str; 5] = [
    "select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
     || case when a.attnotnull then ' not null' else '' end || case when a.attidentity <> '' then ' identity' else '' end \
     || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') \
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
     left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum \
     where c.relname like 'pavane%' and c.relname not like '%migrations' and c.relkind in ('r', 'p') \
     and not c.relispartition order by c.relname, a.attnum",
    "select c.relname || ' ' || pg_get_constraintdef(k.oid) from pg_constraint k join pg_class c on c.oid = k.conrelid \
     where c.relname like 'pavane%' and c.relname not like '%migrations' and not c.relispartition and k.contype in ('p', 'u', 'f', 'c')",
    "select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid \
     where c.relname like 'pavane%' and c.relname not like '%migrations' and not c.relispartition and not i.indisprimary",
    "select c.relname || ' ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid \
     where c.relname like 'pavane%' and not t.tgisinternal",
    "select oid::regprocedure::text from pg_proc where proname like 'pavane%'",
];

/// Columns, indexes and triggers on SQLite, one a line.
const ON_SQLITE: [&str; 2] = [
    "select t.name || '.' || c.name || ' ' || c.type || case when c.\"notnull\" then ' not null' else '' end \
     || case when c.pk > 0 then ' primary key ' || c.pk else '' end || coalesce(' default ' || c.dflt_value, '') \
     from sqlite_master t join pragma_table_info(t.name) c where t.type = 'table' and t.name like 'pavane%' \
     and t.name not like '%migrations' order by t.name, c.cid",
    "select sql from sqlite_master where type in ('index', 'trigger') and sql is not null and name like 'pavane%'",
];

async fn lines(db: &Db<Any>, statements: &[&'static str]) -> String {
    let mut lines = Vec::new();
    for sql in statements {
        let mut found: Vec<String> = sqlx::query_scalar(*sql).fetch_all(db.writers()).await.unwrap();
        assert!(!found.is_empty(), "{sql}");
        // Not in the database's order, which depends on its locale. Columns have one of their own.
        if !lines.is_empty() {
            found.sort();
        }
        lines.extend(found);
    }
    lines.join("\n")
}

/// A service on each database.
async fn each() -> Vec<(Stage, Ahead, TempDir)> {
    let mut each = Vec::new();
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let folder = TempDir::new().unwrap();
        let url = match dialect {
            Dialect::Sqlite => format!("sqlite:{}", folder.path().join("inbox.db").display()),
            Dialect::Postgres => fresh_url().await,
        };
        let clock = Ahead::default();
        each.push((Stage::on(&url, clock.clone()).await, clock, folder));
    }
    each
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_have_the_shape_that_was_agreed_on() {
    for (stage, _, _folder) in each().await {
        match stage.db.dialect() {
            Dialect::Postgres => insta::assert_snapshot!("postgres", lines(&stage.db, &ON_POSTGRES).await),
            Dialect::Sqlite => insta::assert_snapshot!("sqlite", lines(&stage.db, &ON_SQLITE).await),
        }
    }
}

/// Runs a statement whose `$1` is a saga.
async fn run(db: &Db<Any>, sql: &str, saga: SagaId) -> Result<u64, sqlx::Error> {
    let sql = match db.dialect() {
        Dialect::Postgres => sql.replace("$1", "$1::uuid"),
        Dialect::Sqlite => sql.to_owned(),
    };
    let done = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(saga.to_string()).execute(db.writers()).await?;
    Ok(done.rows_affected())
}

async fn count(db: &Db<Any>, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db.writers()).await.unwrap()
}

fn part(part: &str, item: &str, at: i64) -> String {
    format!(
        "insert into pavane_part (saga, step, part, item, event_id, event, arrived_at) \
         values ($1, 'confirm-trip', '{part}', '{item}', $1, cast('{{}}' as {{bytes}}), {at}) on conflict do nothing"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_row_may_gather_and_its_parts_count_once() {
    for (stage, clock, _folder) in each().await {
        let (db, saga) = (&stage.db, SagaId::new(&clock));
        let bytes = if db.dialect() == Dialect::Postgres { "bytea" } else { "blob" };
        let state =
            "insert into pavane_ledger (saga, step, state, changed_at) values ($1, 'confirm-trip', 'gathering', 1)";
        assert_eq!(run(db, state, saga).await.unwrap(), 1);
        let unknown = run(db, &state.replace("gathering", "thinking"), SagaId::new(&clock)).await;
        assert!(unknown.is_err(), "{unknown:?}");
        for (name, item, rows) in [
            ("flight.booked", "", 1),
            ("flight.booked", "", 0),
            ("car.booked|car.unavailable", "", 1),
            ("seat.reserved", "ada", 1),
            ("seat.reserved", "bo", 1),
            ("seat.reserved", "ada", 0),
        ] {
            let insert = part(name, item, 1).replace("{bytes}", bytes);
            assert_eq!(run(db, &insert, saga).await.unwrap(), rows, "{name} {item}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_forgotten_after_their_joins_ledger_row_and_not_before() {
    for (stage, clock, _folder) in each().await {
        let db = &stage.db;
        let bytes = if db.dialect() == Dialect::Postgres { "bytea" } else { "blob" };
        let (ended, gathers, runs) = (SagaId::new(&clock), SagaId::new(&clock), SagaId::new(&clock));
        let now = clock.now().as_microsecond();
        let row = |state: &str, at: i64| {
            format!(
                "insert into pavane_ledger (saga, step, state, changed_at) values ($1, 'confirm-trip', '{state}', {at})"
            )
        };
        // Another part of it came lately; and one whose effect may have happened.
        for (saga, row) in [(ended, row("done", 1)), (gathers, row("gathering", now)), (runs, row("running", 1))] {
            run(db, &row, saga).await.unwrap();
            for (name, item) in [("flight.booked", ""), ("seat.reserved", "ada")] {
                run(db, &part(name, item, 1).replace("{bytes}", bytes), saga).await.unwrap();
            }
        }
        clock.pass_with(db, Duration::from_secs(1)).await;
        while forget(db, RETENTION).await.unwrap() {}
        assert_eq!(run(db, "delete from pavane_part where saga = $1", ended).await.unwrap(), 0, "{:?}", db.dialect());
        assert_eq!(count(db, "select count(*) from pavane_part").await, 4);
        clock.pass_with(db, RETENTION * 2).await;
        while forget(db, RETENTION).await.unwrap() {}
        assert_eq!(count(db, "select count(*) from pavane_part").await, 2, "those of the one that runs");
        assert_eq!(run(db, "delete from pavane_part where saga = $1", runs).await.unwrap(), 2);
    }
}
