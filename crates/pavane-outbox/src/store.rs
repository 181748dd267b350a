//! All SQL of the outbox.

use pavane_contract::{EventId, RawEnvelope, SagaId, codec, codec::Headers, subject};
use serde::Serialize;

use crate::{Database, Dialect, Error, Statement};

/// An event as a row, ready to be published.
#[derive(Debug, Serialize)]
pub(crate) struct NewRow {
    event_id: EventId,
    subject: String,
    headers: String,
    payload: String,
}

/// An event whose time has not come.
#[derive(Debug, Serialize)]
pub(crate) struct NewTimer {
    #[serde(flatten)]
    pub(crate) row: NewRow,
    pub(crate) due_at: i64,
}

impl NewRow {
    pub(crate) fn of(envelope: &RawEnvelope) -> Result<Self, Error> {
        Ok(Self {
            event_id: envelope.meta.id,
            subject: subject::of(&envelope.meta.event, &envelope.meta.key),
            headers: json(&codec::encode(envelope))?,
            payload: String::from_utf8_lossy(&envelope.body).into_owned(),
        })
    }
}

/// A row that waits to be published.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) seq: i64,
    pub(crate) event_id: String,
    pub(crate) subject: String,
    pub(crate) headers: Headers,
    pub(crate) payload: String,
}

/// A row that the broker acknowledged: `(outbox sequence, stream sequence)`.
pub(crate) type Sent = (i64, u64);

/// A row that the broker will never take: `(outbox sequence, why)`.
pub(crate) type Refused = (i64, String);

/// What stands in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Rows that wait to be published.
    pub unsent: i64,
    /// Microseconds since the Unix epoch when the oldest of them was emitted.
    pub oldest: Option<i64>,
    /// Rows that the broker refused.
    pub refused: i64,
    /// Events whose time has not come.
    pub scheduled: i64,
}

/// Writes a transaction's events as one set, in the order in which they were emitted.
pub(crate) async fn leave<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    rows: &[NewRow],
    now: i64,
) -> Result<(), Error> {
    // An event id is unique for ever, so a timer that two relays move at once is left only once.
    const LEAVE: Statement = Statement {
        postgres: "insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                   select (row ->> 'event_id')::uuid, row ->> 'subject', row ->> 'headers', row ->> 'payload', $2 \
                   from json_array_elements($1::json) with ordinality as rows (row, n) order by n \
                   on conflict (event_id) do nothing",
        sqlite: "insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                 select value ->> 'event_id', value ->> 'subject', value ->> 'headers', value ->> 'payload', $2 \
                 from json_each($1) where true order by key \
                 on conflict (event_id) do nothing",
    };
    DB::execute(conn, LEAVE.on(dialect), vec![json(rows)?.into(), now.into()]).await?;
    Ok(())
}

/// Writes events whose time has not come.
pub(crate) async fn schedule<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    timers: &[NewTimer],
) -> Result<(), Error> {
    const SCHEDULE: Statement = Statement {
        postgres: "insert into pavane_timer (event_id, subject, headers, payload, due_at) \
                   select (row ->> 'event_id')::uuid, row ->> 'subject', row ->> 'headers', row ->> 'payload', \
                   (row ->> 'due_at')::bigint from json_array_elements($1::json) as rows (row)",
        sqlite: "insert into pavane_timer (event_id, subject, headers, payload, due_at) \
                 select value ->> 'event_id', value ->> 'subject', value ->> 'headers', value ->> 'payload', \
                 value ->> 'due_at' from json_each($1)",
    };
    DB::execute(conn, SCHEDULE.on(dialect), vec![json(timers)?.into()]).await?;
    Ok(())
}

/// Moves timers whose time has come to the outbox, in the caller's transaction. Returns how many.
///
/// The rows are picked once and then named by id: between two statements another transaction may commit a timer that is
/// due as well, and it must not be deleted without having been moved.
pub(crate) async fn fire_timers<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    now: i64,
    limit: i64,
) -> Result<usize, Error> {
    const DUE: Statement = Statement {
        postgres: "select event_id::text, subject, headers, payload from pavane_timer where due_at <= $1 \
                   order by due_at limit $2",
        sqlite: "select event_id, subject, headers, payload from pavane_timer where due_at <= $1 \
                 order by due_at limit $2",
    };
    const DELETE: Statement = Statement {
        postgres: "delete from pavane_timer where event_id in \
                   (select id::uuid from json_array_elements_text($1::json) as ids (id))",
        sqlite: "delete from pavane_timer where event_id in (select value from json_each($1))",
    };
    let rows = DB::fetch(conn, DUE.on(dialect), vec![now.into(), limit.into()]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut due = Vec::with_capacity(rows.len());
    for row in &rows {
        let event_id = text::<DB>(row, 0)?;
        let event_id = event_id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        due.push(NewRow {
            event_id,
            subject: text::<DB>(row, 1)?,
            headers: text::<DB>(row, 2)?,
            payload: text::<DB>(row, 3)?,
        });
    }
    leave::<DB>(conn, dialect, &due, now).await?;
    let ids: Vec<_> = due.iter().map(|row| row.event_id).collect();
    DB::execute(conn, DELETE.on(dialect), vec![json(&ids)?.into()]).await?;
    Ok(due.len())
}

/// When the next timer is due.
pub(crate) async fn next_due<DB: Database>(conn: &mut DB::Connection) -> Result<Option<i64>, Error> {
    let rows = DB::fetch(conn, "select min(due_at) from pavane_timer", Vec::new()).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten())
}

/// The oldest unsent rows.
///
/// There is no cursor: whatever is unsent is found, however late its transaction commits. A cursor over an identity
/// column would skip rows that become visible out of order.
pub(crate) async fn unsent<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    limit: i64,
) -> Result<Vec<Unsent>, Error> {
    const UNSENT: Statement = Statement {
        postgres: "select seq, event_id::text, subject, headers, payload from pavane_outbox \
                   where sent_at is null and refused is null order by seq limit $1",
        sqlite: "select seq, event_id, subject, headers, payload from pavane_outbox \
                 where sent_at is null and refused is null order by seq limit $1",
    };
    let rows = DB::fetch(conn, UNSENT.on(dialect), vec![limit.into()]).await?;
    rows.iter()
        .map(|row| {
            let headers = serde_json::from_str(&text::<DB>(row, 3)?);
            Ok(Unsent {
                seq: int::<DB>(row, 0)?,
                event_id: text::<DB>(row, 1)?,
                subject: text::<DB>(row, 2)?,
                headers: headers.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                payload: text::<DB>(row, 4)?,
            })
        })
        .collect()
}

/// Records what the broker acknowledged, as one set.
pub(crate) async fn mark_sent<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    sent: &[Sent],
    stream_created: i64,
    now: i64,
) -> Result<(), Error> {
    const MARK: Statement = Statement {
        postgres: "update pavane_outbox set sent_at = $2, stream_created = $3, stream_seq = (sent.row ->> 1)::bigint \
                   from json_array_elements($1::json) as sent (row) where seq = (sent.row ->> 0)::bigint",
        sqlite: "update pavane_outbox set sent_at = $2, stream_created = $3, stream_seq = sent.stream_seq \
                 from (select value ->> 0 as seq, value ->> 1 as stream_seq from json_each($1)) as sent \
                 where pavane_outbox.seq = sent.seq",
    };
    let args = vec![json(sent)?.into(), now.into(), stream_created.into()];
    DB::execute(conn, MARK.on(dialect), args).await?;
    Ok(())
}

/// Sets aside what the broker will never take, so that it doesn't block the others.
pub(crate) async fn mark_refused<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    refused: &[Refused],
) -> Result<(), Error> {
    const MARK: Statement = Statement {
        postgres: "update pavane_outbox set refused = refused_rows.row ->> 1 \
                   from json_array_elements($1::json) as refused_rows (row) where seq = (refused_rows.row ->> 0)::bigint",
        sqlite: "update pavane_outbox set refused = refused_rows.why \
                 from (select value ->> 0 as seq, value ->> 1 as why from json_each($1)) as refused_rows \
                 where pavane_outbox.seq = refused_rows.seq",
    };
    DB::execute(conn, MARK.on(dialect), vec![json(refused)?.into()]).await?;
    Ok(())
}

/// The newest sent rows of one stream, newest first: `(stream sequence, event id)`, below `before`.
pub(crate) async fn sent_before<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, Error> {
    const SENT: Statement = Statement {
        postgres: "select stream_seq, event_id::text from pavane_outbox where stream_seq < $1 \
                   order by stream_seq desc limit $2",
        sqlite: "select stream_seq, event_id from pavane_outbox where stream_seq < $1 order by stream_seq desc limit $2",
    };
    let rows = DB::fetch(conn, SENT.on(dialect), vec![before.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((int::<DB>(row, 0)?, text::<DB>(row, 1)?))).collect()
}

/// Makes rows unsent again whose messages the broker lost: those of another stream, and those after the last one it
/// still has.
pub(crate) async fn send_again<DB: Database>(
    conn: &mut DB::Connection,
    stream_created: i64,
    last_kept: i64,
) -> Result<u64, Error> {
    const AGAIN: &str = "update pavane_outbox set sent_at = null, stream_created = null, stream_seq = null \
                         where sent_at is not null and (stream_created <> $1 or stream_seq > $2)";
    Ok(DB::execute(conn, AGAIN, vec![stream_created.into(), last_kept.into()]).await?)
}

/// Takes or keeps the lease of the one publishing relay. `false` when another instance has it.
pub(crate) async fn hold_lease<DB: Database>(
    conn: &mut DB::Connection,
    owner: &str,
    now: i64,
    expires_at: i64,
) -> Result<bool, Error> {
    const HOLD: &str = "insert into pavane_relay_lease (id, owner, expires_at) values (1, $1, $2) \
                        on conflict (id) do update set owner = excluded.owner, expires_at = excluded.expires_at \
                        where pavane_relay_lease.owner = excluded.owner or pavane_relay_lease.expires_at < $3";
    Ok(DB::execute(conn, HOLD, vec![owner.into(), expires_at.into(), now.into()]).await? == 1)
}

/// Gives the lease back, so that another instance goes on at once.
pub(crate) async fn release_lease<DB: Database>(conn: &mut DB::Connection, owner: &str) -> Result<(), Error> {
    DB::execute(conn, "delete from pavane_relay_lease where owner = $1", vec![owner.into()]).await?;
    Ok(())
}

/// Deletes sent rows older than the durability horizon, a small ordered batch at a time.
pub(crate) async fn prune<DB: Database>(conn: &mut DB::Connection, sent_before: i64, limit: i64) -> Result<u64, Error> {
    const PRUNE: &str = "delete from pavane_outbox where seq in \
                         (select seq from pavane_outbox where sent_at < $1 order by sent_at limit $2)";
    Ok(DB::execute(conn, PRUNE, vec![sent_before.into(), limit.into()]).await?)
}

/// Deletes verdicts of sagas that ended long ago, a batch at a time.
pub(crate) async fn prune_verdicts<DB: Database>(
    conn: &mut DB::Connection,
    decided_before: i64,
    limit: i64,
) -> Result<u64, Error> {
    const PRUNE: &str = "delete from pavane_verdict where saga in \
                         (select saga from pavane_verdict where decided_at < $1 order by decided_at limit $2)";
    Ok(DB::execute(conn, PRUNE, vec![decided_before.into(), limit.into()]).await?)
}

/// Takes the saga's only verdict. `false` when it has one.
///
/// Two transactions that decide at once meet at the primary key: the second waits for the first to commit, and loses.
pub(crate) async fn decide<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    saga: SagaId,
    event: &str,
    now: i64,
) -> Result<bool, Error> {
    const DECIDE: Statement = Statement {
        postgres: "insert into pavane_verdict (saga, event, decided_at) values ($1::uuid, $2, $3) \
                   on conflict (saga) do nothing",
        sqlite: "insert into pavane_verdict (saga, event, decided_at) values ($1, $2, $3) on conflict (saga) do nothing",
    };
    let args = vec![saga.to_string().into(), event.into(), now.into()];
    Ok(DB::execute(conn, DECIDE.on(dialect), args).await? == 1)
}

/// Counts what stands in the outbox.
pub(crate) async fn backlog<DB: Database>(conn: &mut DB::Connection) -> Result<Backlog, Error> {
    const BACKLOG: &str = "select \
        (select count(*) from pavane_outbox where sent_at is null and refused is null), \
        (select min(emitted_at) from pavane_outbox where sent_at is null and refused is null), \
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

fn text<DB: Database>(row: &DB::Row, index: usize) -> Result<String, Error> {
    Ok(DB::text(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

fn int<DB: Database>(row: &DB::Row, index: usize) -> Result<i64, Error> {
    Ok(DB::int(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(codec::Error::Body(error)))
}
