//! `durable`: inbox row, one update, outbox row, commit and ack on PostgreSQL, beside pgbench running the same statements.

use anyhow::Result;
use pavane::database::{Config, Db};
use pavane_inbox::INBOX;
use pavane_outbox::migration::OUTBOX;
use sqlx::{Connection as _, PgConnection, Postgres};

use crate::{
    harness::pair,
    load::{self, ACCOUNTS, Broker},
    pgbench::{PgBench, Script},
    report::{Reach, Row},
    stage::Stage,
};

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let events = stage.size(40_000, 500);
    let broker = Broker::start(stage).await?;
    broker.fill(events).await?;
    let anchor = Anchor::prepare(stage).await?;
    let mut rows = Vec::new();
    let native = async || {
        let url = database(stage).await?;
        let rate = load::consume(&broker, load::ledger_on_postgres(), &url, events).await?;
        check(&url, events).await?;
        Ok(rate)
    };
    let work = format!("{events} events: inbox row, update, outbox row, commit, ack; pgbench, {anchor}");
    let samples = pair(stage.runs, native, async || anchor.rate().await).await?;
    rows.push(Row::new("durable", &work, "events/s", samples, Reach::AtLeast(1.5)));
    let any = async || {
        let url = database(stage).await?;
        let rate = load::consume(&broker, load::ledger_on_any(), &url, events).await?;
        check(&url, events).await?;
        Ok(rate)
    };
    let samples = pair(stage.runs, any, async || anchor.rate().await).await?;
    rows.push(Row::new("durable (any)", "the same through sqlx::Any", "events/s", samples, Reach::AtLeast(1.5)));
    Ok(rows)
}

/// pgbench at its best client count.
#[derive(Debug)]
pub(crate) struct Anchor {
    pgbench: PgBench,
    script: Script,
    clients: usize,
    seconds: usize,
}

impl Anchor {
    /// Makes a database for it and finds the client count at which it is fastest.
    ///
    /// # Errors
    ///
    /// When there is no pgbench, or it fails.
    pub(crate) async fn prepare(stage: &Stage) -> Result<Self> {
        let pgbench = PgBench::find(stage, &database(stage).await?).await?;
        let script = script()?;
        let seconds = stage.size(4, 1);
        let (mut best, mut clients) = (0.0, 1);
        let candidates: &[usize] = if stage.smoke { &[4] } else { &[4, 8, 16, 32, 64, 96] };
        for &candidate in candidates {
            let rate = pgbench.rate(&script, candidate, stage.size(2, 1)).await?;
            if rate > best {
                (best, clients) = (rate, candidate);
            }
        }
        Ok(Self { pgbench, script, clients, seconds })
    }

    /// Transactions in a second.
    ///
    /// # Errors
    ///
    /// When pgbench fails.
    pub(crate) async fn rate(&self) -> Result<f64> {
        self.pgbench.rate(&self.script, self.clients, self.seconds).await
    }
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "best at {} clients", self.clients)
    }
}

/// A fresh database with the framework's tables and the accounts.
///
/// # Errors
///
/// When the server doesn't make it.
pub(crate) async fn database(stage: &Stage) -> Result<String> {
    let url = stage.postgres().await?.fresh_database().await?;
    let db = Db::<Postgres>::open(Config::new(load::SERVICE, &url)).await?;
    db.migrate(&OUTBOX).await?;
    db.migrate(&INBOX).await?;
    sqlx::query(load::ACCOUNT_TABLE).execute(db.writers()).await?;
    sqlx::query("insert into account select 'account-' || n, 0 from generate_series(0, $1) as n")
        .bind(i64::try_from(ACCOUNTS)? - 1)
        .execute(db.writers())
        .await?;
    // What autovacuum would do a minute later, in the middle of a run.
    sqlx::raw_sql("vacuum analyze").execute(db.writers()).await?;
    db.close().await;
    Ok(url)
}

/// What the service's transaction does, one event in each, as a script for pgbench.
fn script() -> Result<Script> {
    const STATEMENTS: &str = "\
        begin;\n\
        insert into pavane_inbox (reaction, event_id, handled_at) values ('book', (lpad(to_hex((extract(epoch from \
        current_timestamp) * 1000)::bigint), 12, '0') || right(replace(gen_random_uuid()::text, '-', ''), 20))::uuid, 1) \
        on conflict do nothing;\n\
        update account set balance = balance + 1 where id = 'account-' || :account;\n\
        with events as (insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
        values (gen_random_uuid(), :subject, :headers, :payload, 1) returning seq) \
        insert into pavane_unsent (seq) select seq from events;\n\
        commit;\n";
    let event = load::outgoing(&load::booked(&load::deposited(1)), load::SERVICE)?;
    let (headers, payload) = (serde_json::to_string(&event.headers)?, std::str::from_utf8(&event.payload)?);
    let statements = format!("\\set account random(0, {})\n{STATEMENTS}", ACCOUNTS - 1);
    Script::new(&statements, &[("subject", &event.subject), ("headers", &headers), ("payload", payload)])
}

/// Makes sure that each event had its effect, once.
///
/// # Errors
///
/// When one had none, or had it twice.
pub(crate) async fn check(url: &str, events: usize) -> Result<()> {
    let mut conn = PgConnection::connect(url).await?;
    let counts: (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from pavane_inbox), (select sum(balance)::bigint from account), \
         (select count(*) from pavane_outbox)",
    )
    .fetch_one(&mut conn)
    .await?;
    let expected = i64::try_from(events)?;
    anyhow::ensure!(counts == (expected, expected, expected), "expected {expected} of each, found {counts:?}");
    Ok(conn.close().await?)
}
