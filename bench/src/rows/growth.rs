//! `growth`: `durable` and `relay` beside themselves, with full tables and with a transaction held open elsewhere.

use anyhow::Result;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{durable, relay};
use crate::{
    harness::{Sample, pair},
    load::{self, Broker},
    report::{Reach, Row},
    stage::Stage,
};

/// So much faster may the empty tables be.
const REACH: Reach = Reach::AtLeast(1.0 / 1.15);

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let growth = Growth {
        stage,
        broker: Broker::start(stage).await?,
        events: stage.size(20_000, 300),
        rows: stage.size(100_000, 1_000),
    };
    let empty = durable::database(stage).await?;
    let mut rows = Vec::new();
    rows.extend(memory(&empty, stage.size(1_000_000, 10_000)).await?);
    let sizes: &[usize] = if stage.smoke { &[10_000] } else { &[1_000_000, 10_000_000] };
    for &size in sizes {
        let grown = durable::database(stage).await?;
        handled_before(&grown, size).await?;
        let work = format!("durable with {size} rows in the inbox; with none");
        let samples =
            pair(stage.runs, async || growth.durable(&grown).await, async || growth.durable(&empty).await).await?;
        rows.push(Row::new("growth inbox", &work, "events/s", samples, REACH));
        drop_database(&grown).await?;
    }
    let backlog = stage.size(1_000_000, 10_000);
    let work = format!("relay of {} rows with {backlog} unsent behind them; with none", growth.rows);
    let samples =
        pair(stage.runs, async || growth.relay(backlog, false).await, async || growth.relay(0, false).await).await?;
    rows.push(Row::new("growth outbox", &work, "rows/s", samples, REACH));
    let held = async || {
        let _held = hold(&empty).await?;
        growth.durable(&empty).await
    };
    let samples = pair(stage.runs, held, async || growth.durable(&empty).await).await?;
    let work = "durable with a transaction held open elsewhere; without";
    rows.push(Row::new("growth held", work, "events/s", samples, REACH));
    let samples = pair(stage.runs, async || growth.relay(0, true).await, async || growth.relay(0, false).await).await?;
    let work = "relay with a transaction held open elsewhere; without";
    rows.push(Row::new("growth held relay", work, "rows/s", samples, REACH));
    Ok(rows)
}

struct Growth<'a> {
    stage: &'a Stage,
    broker: Broker,
    events: usize,
    rows: usize,
}

impl Growth<'_> {
    /// Consumes fresh events into a database that is kept.
    async fn durable(&self, url: &str) -> Result<f64> {
        self.broker.anew().await?;
        self.broker.fill(self.events).await?;
        load::consume(&self.broker, load::ledger_on_postgres(), url, self.events).await
    }

    /// Relays the first rows of an outbox.
    async fn relay(&self, more: usize, held: bool) -> Result<f64> {
        self.broker.anew().await?;
        let url = durable::database(self.stage).await?;
        relay::fill(&url, self.rows + more).await?;
        let _held = if held { Some(hold(&url).await?) } else { None };
        let rate = relay::drain(&self.broker, &url, self.rows).await;
        drop_database(&url).await?;
        rate
    }
}

/// What it takes to remember an event, and a step with the event that it emitted, on disk.
async fn memory(url: &str, size: usize) -> Result<Vec<Row>> {
    handled_before(url, size).await?;
    let mut conn = PgConnection::connect(url).await?;
    conn.execute("create table bare (id uuid primary key); insert into bare select event_id from pavane_inbox").await?;
    // An event of 500 bytes, as CloudEvents JSON.
    let step = "insert into pavane_ledger (saga, step, state, event_id, kept, changed_at) \
                select gen_random_uuid(), 'book', 'done', gen_random_uuid(), \
                convert_to(repeat(md5(n::text), 28), 'UTF8'), n from generate_series(1, $1) as n";
    sqlx::query(step).bind(i64::try_from(size)?).execute(&mut conn).await?;
    let (inbox, ledger, bare): (i64, i64, i64) = sqlx::query_as(
        "select (select sum(pg_total_relation_size(relid))::bigint from pg_partition_tree('pavane_inbox')), \
         pg_total_relation_size('pavane_ledger'), pg_total_relation_size('bare')",
    )
    .fetch_one(&mut conn)
    .await?;
    conn.execute("truncate pavane_inbox, pavane_ledger; drop table bare").await?;
    conn.close().await?;
    let each =
        |bytes: i64| Ok::<_, anyhow::Error>(Sample::once(load::float(usize::try_from(bytes)?) / load::float(size)));
    let row = |name: &str, what: &str, bytes| {
        let work = format!("{what} that is remembered, of {size}, with its indexes; a table of ids");
        Ok::<_, anyhow::Error>(Row::new(name, &work, "bytes", (each(bytes)?, each(bare)?), Reach::Stated))
    };
    Ok(vec![
        row("growth memory event", "an event", inbox)?,
        row("growth memory step", "a step and the event of 500 bytes that it emitted", ledger)?,
    ])
}

/// Fills the inbox with what was handled before: in the partition where today's events go too.
async fn handled_before(url: &str, rows: usize) -> Result<()> {
    let mut conn = PgConnection::connect(url).await?;
    let fill = "insert into pavane_inbox (reaction, event_id, handled_at) \
                select 'book', (lpad(to_hex(now - ($1 - n) / 1000), 12, '0') || '70008000' || substr(md5(n::text), 1, 12))::uuid, \
                n from (select (extract(epoch from current_timestamp) * 1000)::bigint) as clock (now), \
                generate_series(1, $1) as n";
    sqlx::query(fill).bind(i64::try_from(rows)?).execute(&mut conn).await?;
    conn.execute("vacuum analyze pavane_inbox").await?;
    conn.execute("checkpoint").await?;
    Ok(conn.close().await?)
}

/// A transaction that has read something and stays open: what it could still see must be kept by everybody.
async fn hold(url: &str) -> Result<PgConnection> {
    let mut conn = PgConnection::connect(url).await?;
    conn.execute("begin isolation level repeatable read").await?;
    conn.execute("select count(*) from account").await?;
    Ok(conn)
}

/// A database with ten million rows must not fill the disk until the end.
async fn drop_database(url: &str) -> Result<()> {
    let Some((server, name)) = url.rsplit_once('/') else { return Ok(()) };
    let mut conn = PgConnection::connect(&format!("{server}/postgres")).await?;
    conn.execute(sqlx::AssertSqlSafe(format!("drop database {name} with (force)"))).await?;
    Ok(conn.close().await?)
}
