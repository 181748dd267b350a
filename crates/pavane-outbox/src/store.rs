//! The SQL of transactions that emit. Timers and the relay have their own.

use std::time::Duration;

use bytes::Bytes;
use pavane_contract::{EventId, RawEnvelope, SagaId, codec, subject};
use serde::Serialize;

use crate::{Arg, Database, Db, Dialect, Error, Statement, Values, db::micros, timer::store::cancel};

/// An event as a row, ready to be published.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) event_id: EventId,
    pub(crate) subject: String,
    pub(crate) headers: String,
    pub(crate) payload: Bytes,
}

impl NewRow {
    pub(crate) fn of(envelope: &RawEnvelope) -> Result<Self, Error> {
        Ok(Self {
            event_id: envelope.meta.id,
            subject: subject::of(&envelope.meta.event, &envelope.meta.key),
            headers: json(&codec::encode(envelope))?,
            payload: envelope.body.clone(),
        })
    }

    /// Rows as columns, in this order: id, subject, headers, payload.
    pub(crate) fn columns<'r>(rows: impl Iterator<Item = &'r Self> + Clone) -> Vec<Values> {
        vec![
            Values::Ids(rows.clone().map(|row| row.event_id.as_uuid()).collect()),
            Values::Texts(rows.clone().map(|row| row.subject.clone()).collect()),
            Values::Texts(rows.clone().map(|row| row.headers.clone()).collect()),
            Values::Bytes(rows.map(|row| row.payload.clone()).collect()),
        ]
    }
}

/// How much is in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Rows that wait to be published.
    pub unsent: i64,
    /// When the oldest of them was emitted, in microseconds since the Unix epoch, by the reference clock.
    pub oldest: Option<i64>,
    /// Rows that the broker refused.
    pub refused: i64,
    /// Events that are to be published later.
    pub scheduled: i64,
}

/// Prepares a connection of SQLite for [`begin`]'s statement.
pub(crate) const MARKER: &str = "create temp table pavane_tx (open integer not null);";

/// The statement that begins a transaction and sets a mark that disappears with the transaction, in one round trip.
///
/// On PostgreSQL a statement that runs for longer than `limit` fails, and so does a transaction that is idle for that long: its
/// client may have vanished, and others wait for its locks.
pub(crate) fn begin(dialect: Dialect, limit: Duration) -> String {
    let ms = limit.as_millis();
    match dialect {
        Dialect::Postgres => format!(
            "begin; set local pavane.tx = 'open'; set local statement_timeout = {ms}; \
             set local idle_in_transaction_session_timeout = {ms}"
        ),
        // The last mark is deleted before the transaction begins, or a rollback would restore it. `begin immediate` takes the
        // write lock at once: a read that is upgraded later can fail in the middle of a handler.
        Dialect::Sqlite => {
            "delete from temp.pavane_tx; begin immediate; insert into temp.pavane_tx values (1)".to_owned()
        }
    }
}

/// Fails unless the connection is in the transaction that [`begin`] began, and that transaction can be committed.
///
/// PostgreSQL runs no statement in an aborted transaction. A transaction that has ended took the mark with it.
pub(crate) async fn prove<DB: Database>(conn: &mut DB::Connection, dialect: Dialect) -> Result<(), Error> {
    const PROVE: Statement = Statement {
        postgres: "select 1::bigint where current_setting('pavane.tx', true) = 'open'",
        sqlite: "select open from temp.pavane_tx",
    };
    let rows = DB::fetch(conn, PROVE.on(dialect), Vec::new()).await?;
    if rows.is_empty() { Err(Error::Ended) } else { Ok(()) }
}

/// Whether the database is read-only.
pub(crate) async fn is_read_only<DB: Database>(conn: &mut DB::Connection, dialect: Dialect) -> Result<bool, Error> {
    const READ_ONLY: &str =
        "select 1::bigint where pg_is_in_recovery() or current_setting('transaction_read_only') = 'on'";
    // SQLite has no standbys; the query only finds out whether it answers. Neither query reads a table.
    const NEVER: &str = "select 1 where 0";
    let asked = if dialect == Dialect::Postgres { READ_ONLY } else { NEVER };
    Ok(!DB::fetch(conn, asked, Vec::new()).await?.is_empty())
}

/// Fails with [`Error::Pooler`] when a pooler gives both connections the same server connection and mixes up their prepared
/// statements: each driver connection names its first statement alike.
pub(crate) async fn look_for_pooler<DB: Database>(
    one: &mut DB::Connection,
    other: &mut DB::Connection,
) -> Result<(), Error> {
    DB::fetch(one, "select 1::bigint", Vec::new()).await?;
    DB::fetch(other, "select 2::bigint", Vec::new()).await?;
    // Again: the other connection's statement may have replaced this one's.
    DB::fetch(one, "select 1::bigint", Vec::new()).await?;
    Ok(())
}

/// Fails where new tables would be created in another schema than the existing ones, of which `table` is one: statements find
/// tables in any schema of the `search_path`, and create them in the first. PostgreSQL only.
///
/// Tables in another schema are probably another service's, and two services that share an inbox take each other's events for
/// handled.
pub(crate) async fn check_schema<DB: Database>(conn: &mut DB::Connection, table: &str) -> Result<(), Error> {
    const LOOK: &str = "select current_setting('search_path'), current_schema()::text, \
        (select relnamespace::regnamespace::text from pg_class where oid = to_regclass($1))";
    let rows = DB::fetch(conn, LOOK, vec![table.into()]).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (value, first, found) = (text::<DB>(row, 0)?, DB::text(row, 1)?, DB::text(row, 2)?);
    let why = match (first, found) {
        (None, _) => "it names no schema that exists; create one of them, or name another".to_owned(),
        (Some(first), Some(found)) if first != found => format!(
            "Pavane's tables are in the schema {found}, and new ones would be made in {first}; if they are this service's, let it \
             begin with {found}; if they are another service's, leave {found} out, and put what both need elsewhere"
        ),
        (Some(_), _) => return Ok(()),
    };
    Err(Error::Setting { setting: "search_path", value, why })
}

/// Fails where a commit doesn't wait for the disk: after a crash of the server, the state of a published event would be lost.
pub(crate) async fn check_durability<DB: Database>(conn: &mut DB::Connection) -> Result<(), Error> {
    const WHY: &str = "a crash of PostgreSQL would forget commits whose events were published or acknowledged; use on, also for the \
               connections of the service's pool, its role and its database";
    let rows = DB::fetch(conn, "select current_setting('synchronous_commit')", Vec::new()).await?;
    let value = text::<DB>(rows.first().ok_or(sqlx::Error::RowNotFound)?, 0)?;
    if value != "off" {
        return Ok(());
    }
    Err(Error::Setting { setting: "synchronous_commit", value, why: WHY.to_owned() })
}

/// The time by the database's clock, in microseconds since the Unix epoch. `PostgreSQL` only.
pub(crate) async fn now<DB: Database>(conn: &mut DB::Connection) -> Result<i64, Error> {
    let rows = DB::fetch(conn, "select pavane_now()", Vec::new()).await?;
    int::<DB>(rows.first().ok_or(sqlx::Error::RowNotFound)?, 0)
}

/// Writes a transaction's events as one set, in the order in which they were emitted, if the transaction is the one that
/// [`begin`] began. In no transaction they would be committed at once.
pub(crate) async fn leave<DB: Database>(db: &Db<DB>, conn: &mut DB::Connection, rows: &[NewRow]) -> Result<(), Error> {
    const LEAVE: Statement = Statement {
        postgres: "with events as (insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                   select event_id, subject, headers, payload, (select pavane_now()) \
                   from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) \
                   with ordinality as rows (event_id, subject, headers, payload, n) \
                   where current_setting('pavane.tx', true) = 'open' order by n returning seq) \
                   insert into pavane_unsent (seq) select seq from events",
        sqlite: "insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                 select value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), $2 \
                 from json_each($1) where exists (select 1 from temp.pavane_tx) order by key",
    };
    // On SQLite a trigger inserts them into `pavane_unsent`.
    let args = db.timed(vec![Arg::Rows(NewRow::columns(rows.iter()))]);
    let written = DB::execute(conn, LEAVE.on(db.dialect()), args).await?;
    if written == rows.len() as u64 { Ok(()) } else { Err(Error::Ended) }
}

/// Deletes outcomes of sagas that ended long ago, a batch at a time.
pub(crate) async fn prune_outcomes<DB: Database>(db: &Db<DB>, retention: Duration, limit: i64) -> Result<u64, Error> {
    const PRUNE: Statement = Statement {
        postgres: "delete from pavane_outcome where saga in (select saga from pavane_outcome \
                   where decided_at < (select pavane_now() - $1) order by decided_at limit $2)",
        sqlite: "delete from pavane_outcome where saga in (select saga from pavane_outcome \
                 where decided_at < $3 - $1 order by decided_at limit $2)",
    };
    let args = db.timed(vec![micros(retention).into(), limit.into()]);
    Ok(DB::execute(&mut *db.writer().await?, PRUNE.on(db.dialect()), args).await?)
}

/// Inserts the saga's outcome. `false` when it has one. The winner deletes these timers of the saga, in the same round trip.
///
/// Two transactions that decide at once meet at the primary key: the second waits for the first to commit, and loses. What it sees
/// of timers it saw before it waited: a timer that is set in the meantime stays.
pub(crate) async fn decide<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    (saga, event): (SagaId, &str),
    timers: &[String],
) -> Result<bool, Error> {
    const DECIDE: Statement = Statement {
        postgres: "insert into pavane_outcome (saga, event, decided_at) values ($1::uuid, $2, pavane_now()) \
                   on conflict (saga) do nothing",
        sqlite: "insert into pavane_outcome (saga, event, decided_at) values ($1, $2, $3) on conflict (saga) do nothing",
    };
    const DECIDE_AND_CANCEL: &str = "with won as (insert into pavane_outcome (saga, event, decided_at) \
                                     values ($1::uuid, $2, pavane_now()) on conflict (saga) do nothing returning saga), \
                                     cancelled as (delete from pavane_timer using won where pavane_timer.saga = won.saga \
                                     and pavane_timer.event = any ($3::text[]) \
                                     and current_setting('pavane.tx', true) = 'open') \
                                     select 1::bigint from won";
    let args = vec![saga.to_string().into(), event.into()];
    if timers.is_empty() {
        return Ok(DB::execute(conn, DECIDE.on(db.dialect()), db.timed(args)).await? == 1);
    }
    match db.dialect() {
        Dialect::Postgres => {
            let args = args.into_iter().chain([Values::Texts(timers.to_vec()).into()]).collect();
            Ok(!DB::fetch(conn, DECIDE_AND_CANCEL, args).await?.is_empty())
        }
        Dialect::Sqlite => {
            let won = DB::execute(conn, DECIDE.sqlite, db.timed(args)).await? == 1;
            if won {
                cancel(db, conn, saga, timers).await?;
            }
            Ok(won)
        }
    }
}

/// How many rows wait to be published, counted up to `limit`, and for how many microseconds the oldest has waited.
pub(crate) async fn waiting<DB: Database>(db: &Db<DB>, limit: u32) -> Result<(i64, i64), Error> {
    const WAITING: Statement = Statement {
        postgres: "select (select count(*) from (select 1 from pavane_unsent limit $1) as counted), \
                   (select pavane_now() - emitted_at from pavane_outbox where seq = (select min(seq) from pavane_unsent))",
        sqlite: "select (select count(*) from (select 1 from pavane_unsent limit $1)), \
                 (select $2 - emitted_at from pavane_outbox where seq = (select min(seq) from pavane_unsent))",
    };
    let args: Vec<Arg> = db.timed(vec![i64::from(limit).into()]);
    let rows = DB::fetch(&mut *db.reader().await?, WAITING.on(db.dialect()), args).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((int::<DB>(row, 0)?, DB::int(row, 1)?.unwrap_or(0)))
}

/// Counts what is in the outbox.
pub(crate) async fn backlog<DB: Database>(conn: &mut DB::Connection) -> Result<Backlog, Error> {
    const BACKLOG: &str = "select \
        (select count(*) from pavane_unsent), \
        (select emitted_at from pavane_outbox where seq = (select min(seq) from pavane_unsent)), \
        (select count(*) from pavane_outbox where refused is not null), \
        (select count(*) from pavane_timer)";
    let rows = DB::fetch(conn, BACKLOG, Vec::new()).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Backlog {
        unsent: int::<DB>(row, 0)?,
        oldest: DB::int(row, 1)?,
        refused: int::<DB>(row, 2)?,
        scheduled: int::<DB>(row, 3)?,
    })
}

pub(crate) fn text<DB: Database>(row: &DB::Row, index: usize) -> Result<String, Error> {
    Ok(DB::text(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

pub(crate) fn int<DB: Database>(row: &DB::Row, index: usize) -> Result<i64, Error> {
    Ok(DB::int(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

pub(crate) fn bytes<DB: Database>(row: &DB::Row, index: usize) -> Result<Vec<u8>, Error> {
    Ok(DB::bytes(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}
