//! `durable-sqlite`: the same as `durable` on SQLite, beside rusqlite running the same statements.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use pavane::database::{Config, Db};
use pavane_contract::{EventId, SystemClock};
use pavane_inbox::INBOX;
use pavane_outbox::migration::OUTBOX;
use rusqlite::{Connection, params};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    harness::pair,
    load::{self, ACCOUNTS, Broker},
    report::{Reach, Row},
    stage::Stage,
};

const INBOX_ROW: &str =
    "insert into pavane_inbox (reaction, event_id, handled_at) values ('book', ?1, ?2) on conflict do nothing";
const UPDATE: &str = "update account set balance = balance + ?1 where id = ?2";
const OUTBOX_ROW: &str =
    "insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) values (?1, ?2, ?3, ?4, ?5)";

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let events = stage.size(40_000, 500);
    let broker = Broker::start(stage).await?;
    broker.fill(events).await?;
    let pavane = async || {
        let folder = tempfile::tempdir()?;
        let file = database(folder.path()).await?;
        let rate = load::consume(&broker, load::ledger_on_sqlite(), &url(&file), events).await?;
        check(&file, events)?;
        Ok(rate)
    };
    // One transaction for each event is far slower: fewer of them take as long.
    let transactions = stage.size(10_000, 100);
    let anchor = async || {
        let folder = tempfile::tempdir()?;
        let file = database(folder.path()).await?;
        spawn_blocking(move || raw(&file, transactions)).await?
    };
    let samples = pair(stage.runs, pavane, anchor).await?;
    let work = format!("{events} events: as durable, WAL, synchronous = full; rusqlite, a transaction for each event");
    Ok(vec![Row::new("durable-sqlite", &work, "events/s", samples, Reach::AtLeast(1.5))])
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// A fresh database with the framework's tables and the accounts.
async fn database(folder: &Path) -> Result<std::path::PathBuf> {
    let file = folder.join("ledger.db");
    let db = Db::<sqlx::Sqlite>::open(Config::new(load::SERVICE, url(&file))).await?;
    db.migrate(&OUTBOX).await?;
    db.migrate(&INBOX).await?;
    sqlx::query(load::ACCOUNT_TABLE).execute(db.writers()).await?;
    let ids: Vec<_> = (0..ACCOUNTS).map(load::account).collect();
    sqlx::query("insert into account select value, 0 from json_each($1)")
        .bind(serde_json::to_string(&ids)?)
        .execute(db.writers())
        .await?;
    db.close().await;
    Ok(file)
}

fn raw(file: &Path, transactions: usize) -> Result<f64> {
    let mut conn = Connection::open(file)?;
    conn.execute_batch("pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;")?;
    let events: Vec<_> = (0..transactions)
        .map(|number| {
            let event = load::booked(&load::deposited(number));
            let message = load::outgoing(&event, load::SERVICE)?;
            Ok((event.account, serde_json::to_string(&message.headers)?, message))
        })
        .collect::<Result<_>>()?;
    let started = Instant::now();
    for (account, headers, event) in &events {
        let payload = &event.payload[..];
        let id = EventId::new(&SystemClock).to_string();
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.prepare_cached(INBOX_ROW)?.execute(params![id, 1])?;
        tx.prepare_cached(UPDATE)?.execute(params![1, account])?;
        tx.prepare_cached(OUTBOX_ROW)?.execute(params![event.message_id, event.subject, headers, payload, 1])?;
        tx.commit()?;
    }
    let rate = load::per_second(transactions, started);
    drop(conn);
    check(file, transactions)?;
    Ok(rate)
}

/// Makes sure that each event had its effect, once.
fn check(file: &Path, events: usize) -> Result<()> {
    let counts = "select (select count(*) from pavane_inbox), (select sum(balance) from account), \
                  (select count(*) from pavane_outbox)";
    let conn = Connection::open(file).context("the database can't be opened")?;
    let counts: [i64; 3] = conn.query_row(counts, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    let expected = i64::try_from(events)?;
    ensure!(counts == [expected; 3], "expected {expected} of each, found {counts:?}");
    Ok(())
}
