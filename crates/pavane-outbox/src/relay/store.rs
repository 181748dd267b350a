//! The SQL of the relay: what waits to be published, what was published, and which relay publishes.

use std::time::Duration;

use pavane_bus::Outgoing;

use crate::{
    Arg, Database, Db, Dialect, Error, Statement, Values,
    db::micros,
    store::{bytes, int, json, text},
};

/// A row that waits to be published.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) seq: i64,
    pub(crate) message: Outgoing,
}

/// A row that the broker acknowledged: `(outbox sequence, stream sequence)`.
pub(crate) type Sent = (i64, i64);

/// A row that the broker will never take: `(outbox sequence, why)`.
pub(crate) type Refused = (i64, String);

/// The oldest unsent rows, without those in `except`.
///
/// There is no cursor: a row is found however late its transaction commits. A cursor over an identity column would skip rows
/// that become visible out of order.
pub(crate) async fn unsent<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    except: &[i64],
    limit: i64,
) -> Result<Vec<Unsent>, Error> {
    // Reads each row by its key: a planner that merged the two tables would read all sent rows first, each time. `not in` of a
    // set, and not `<> all` of an array, which would compare with each element.
    const UNSENT: Statement = Statement {
        postgres: "select seq, event_id::text, subject, headers, payload from pavane_outbox where seq = any (array(\
                   select seq from pavane_unsent where seq not in (select unnest($2::bigint[])) order by seq limit $1)) \
                   order by seq",
        sqlite: "select seq, event_id, subject, headers, payload \
                 from pavane_unsent cross join pavane_outbox using (seq) \
                 where seq not in (select value from json_each($2)) order by seq limit $1",
    };
    let except = Values::Ints(except.to_vec());
    let rows = DB::fetch(conn, UNSENT.on(dialect), vec![limit.into(), except.into()]).await?;
    rows.iter().map(unsent_row::<DB>).collect()
}

/// A row of sequence, id, subject, headers and payload.
fn unsent_row<DB: Database>(row: &DB::Row) -> Result<Unsent, Error> {
    let headers = serde_json::from_str(&text::<DB>(row, 3)?);
    let message = Outgoing {
        message_id: text::<DB>(row, 1)?,
        subject: text::<DB>(row, 2)?,
        headers: headers.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        payload: bytes::<DB>(row, 4)?.into(),
    };
    Ok(Unsent { seq: int::<DB>(row, 0)?, message })
}

/// [`mark_sent`], and then [`unsent`]; on PostgreSQL in one round trip. `None` when another relay has the lease.
pub(crate) async fn mark_and_read<DB: Database>(
    db: &Db<DB>,
    owner: &str,
    (sent, stream_created): (&[Sent], i64),
    limit: i64,
) -> Result<Option<Vec<Unsent>>, Error> {
    // All parts of a statement see the same snapshot, so the rows that it deletes are excluded explicitly.
    const BOTH: &str = "with lease as (select set_config('synchronous_commit', 'off', true) \
                        from pavane_relay_lease where owner = $5 for share), \
                        gone as (delete from pavane_unsent using lease where seq = any ($6::bigint[])), \
                        record as (insert into pavane_sent (sent_at, stream_created, stream_first, stream_last, acknowledged) \
                        select pavane_now(), $1, $2, $3, $4 from lease) \
                        select seq, event_id::text, subject, headers, payload from lease left join pavane_outbox \
                        on seq = any (array(select seq from pavane_unsent where seq not in (select unnest($6::bigint[])) \
                        order by seq limit $7)) order by seq";
    if db.dialect() == Dialect::Sqlite {
        let held = mark_sent(db, owner, (sent, stream_created)).await?;
        let conn = &mut *db.writer().await?;
        return if held { unsent::<DB>(conn, db.dialect(), &[], limit).await.map(Some) } else { Ok(None) };
    }
    let mut args = record(stream_created, sent)?;
    args.extend([owner.into(), seqs(sent).into(), limit.into()]);
    let rows = DB::fetch(&mut *db.writer().await?, BOTH, args).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    if DB::int(first, 0)?.is_none() {
        // Only the row of the lease: nothing waits.
        return Ok(Some(Vec::new()));
    }
    rows.iter().map(unsent_row::<DB>).collect::<Result<_, _>>().map(Some)
}

/// Records what the broker acknowledged to a relay, as one set, if that relay still has the lease. `false` when it hasn't.
///
/// A relay that was suspended while another one took over may hold acknowledgements of messages that the broker has lost since.
/// Recorded after the other relay's check, they would hide that loss. The lease is read with a lock, so that no relay takes it
/// meanwhile.
///
/// On PostgreSQL the commit doesn't wait for the disk. If a crash of the server loses the record, the rows are published again
/// under their old ids, as after a crash of the relay.
pub(crate) async fn mark_sent<DB: Database>(
    db: &Db<DB>,
    owner: &str,
    (sent, stream_created): (&[Sent], i64),
) -> Result<bool, Error> {
    const MARK: &str = "with lease as (select set_config('synchronous_commit', 'off', true) \
                        from pavane_relay_lease where owner = $5 for share), \
                        gone as (delete from pavane_unsent using lease where seq = any ($6::bigint[])) \
                        insert into pavane_sent (sent_at, stream_created, stream_first, stream_last, acknowledged) \
                        select pavane_now(), $1, $2, $3, $4 from lease";
    const RECORD: &str = "insert into pavane_sent (sent_at, stream_created, stream_first, stream_last, acknowledged) \
                          select $6, $1, $2, $3, $4 from pavane_relay_lease where owner = $5";
    const DELETE: &str = "delete from pavane_unsent where seq in (select value from json_each($1))";
    let mut args = record(stream_created, sent)?;
    args.push(owner.into());
    let seqs = seqs(sent).into();
    match db.dialect() {
        Dialect::Postgres => {
            args.push(seqs);
            Ok(DB::execute(&mut *db.writer().await?, MARK, args).await? == 1)
        }
        Dialect::Sqlite => {
            let mut tx = db.begin_plain().await?;
            let held = DB::execute(tx.conn(), RECORD, db.timed(args)).await? == 1;
            if held {
                DB::execute(tx.conn(), DELETE, vec![seqs]).await?;
            }
            tx.commit().await?;
            Ok(held)
        }
    }
}

/// Sets aside what the broker refuses for good, so that it doesn't block the rows after it.
pub(crate) async fn mark_refused<DB: Database>(db: &Db<DB>, refused: &[Refused]) -> Result<(), Error> {
    const MARK: Statement = Statement {
        postgres: "update pavane_outbox set refused = refused_rows.why \
                   from unnest($1::bigint[], $2::text[]) as refused_rows (seq, why) \
                   where pavane_outbox.seq = refused_rows.seq",
        sqlite: "update pavane_outbox set refused = refused_rows.why \
                 from (select value ->> 0 as seq, value ->> 1 as why from json_each($1)) as refused_rows \
                 where pavane_outbox.seq = refused_rows.seq",
    };
    const DELETE: Statement = Statement {
        postgres: "delete from pavane_unsent where seq = any ($1::bigint[])",
        sqlite: "delete from pavane_unsent where seq in (select value from json_each($1))",
    };
    let seqs = Values::Ints(refused.iter().map(|(seq, _)| *seq).collect());
    let whys = Values::Texts(refused.iter().map(|(_, why)| why.clone()).collect());
    let mut tx = db.begin_plain().await?;
    DB::execute(tx.conn(), MARK.on(db.dialect()), vec![Arg::Rows(vec![seqs.clone(), whys])]).await?;
    DB::execute(tx.conn(), DELETE.on(db.dialect()), vec![seqs.into()]).await?;
    tx.commit().await
}

/// The newest batch that was sent below a stream sequence, newest row first.
pub(crate) async fn sent_before<DB: Database>(conn: &mut DB::Connection, before: i64) -> Result<Vec<Sent>, Error> {
    const SENT: &str = "select acknowledged from pavane_sent where stream_first < $1 order by stream_last desc limit 1";
    let rows = DB::fetch(conn, SENT, vec![before.into()]).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let mut sent = acknowledged::<DB>(row, 0)?;
    sent.retain(|(_, stream_seq)| *stream_seq < before);
    sent.sort_by_key(|(_, stream_seq)| std::cmp::Reverse(*stream_seq));
    Ok(sent)
}

/// The id of the event in a row.
pub(crate) async fn event_id<DB: Database>(
    conn: &mut DB::Connection,
    dialect: Dialect,
    seq: i64,
) -> Result<Option<String>, Error> {
    const ID: Statement = Statement {
        postgres: "select event_id::text from pavane_outbox where seq = $1",
        sqlite: "select event_id from pavane_outbox where seq = $1",
    };
    let rows = DB::fetch(conn, ID.on(dialect), vec![seq.into()]).await?;
    Ok(rows.first().map(|row| DB::text(row, 0)).transpose()?.flatten())
}

/// Makes rows unsent again whose messages the broker lost: those of another stream, and those after the last message that it
/// still has. In one transaction, so that no row is ever neither sent nor unsent.
pub(crate) async fn send_again<DB: Database>(db: &Db<DB>, stream_created: i64, last_kept: i64) -> Result<u64, Error> {
    const LOST: &str = "select id, stream_created, sent_at, acknowledged from pavane_sent \
                        where stream_created <> $1 or stream_last > $2 order by id limit 100";
    const UNSENT: Statement = Statement {
        postgres: "insert into pavane_unsent (seq) select unnest($1::bigint[]) on conflict do nothing",
        sqlite: "insert into pavane_unsent (seq) select value from json_each($1) where true on conflict do nothing",
    };
    const KEEP: &str = "insert into pavane_sent (sent_at, stream_created, stream_first, stream_last, acknowledged) \
                        values ($5, $1, $2, $3, $4)";
    let mut again = 0;
    let mut tx = db.begin_plain().await?;
    loop {
        let batches = DB::fetch(tx.conn(), LOST, vec![stream_created.into(), last_kept.into()]).await?;
        for batch in &batches {
            let (created, sent_at) = (int::<DB>(batch, 1)?, int::<DB>(batch, 2)?);
            let is_lost = |(_, stream_seq): &Sent| created != stream_created || *stream_seq > last_kept;
            let (lost, kept): (Vec<_>, Vec<_>) = acknowledged::<DB>(batch, 3)?.into_iter().partition(is_lost);
            let lost: Vec<_> = lost.into_iter().map(|(seq, _)| seq).collect();
            again += DB::execute(tx.conn(), UNSENT.on(db.dialect()), vec![Values::Ints(lost).into()]).await?;
            DB::execute(tx.conn(), "delete from pavane_sent where id = $1", vec![int::<DB>(batch, 0)?.into()]).await?;
            if !kept.is_empty() {
                let mut args = record(created, &kept)?;
                args.push(sent_at.into());
                DB::execute(tx.conn(), KEEP, args).await?;
            }
        }
        if batches.is_empty() {
            tx.commit().await?;
            return Ok(again);
        }
    }
}

/// Takes or renews the lease for `lease` from now. `false` when another instance has it.
pub(crate) async fn hold_lease<DB: Database>(db: &Db<DB>, owner: &str, lease: Duration) -> Result<bool, Error> {
    const HOLD: Statement = Statement {
        postgres: "insert into pavane_relay_lease (id, owner, expires_at) values (1, $1, pavane_now() + $2) \
                   on conflict (id) do update set owner = excluded.owner, expires_at = excluded.expires_at \
                   where pavane_relay_lease.owner = excluded.owner or pavane_relay_lease.expires_at < pavane_now()",
        sqlite: "insert into pavane_relay_lease (id, owner, expires_at) values (1, $1, $3 + $2) \
                 on conflict (id) do update set owner = excluded.owner, expires_at = excluded.expires_at \
                 where pavane_relay_lease.owner = excluded.owner or pavane_relay_lease.expires_at < $3",
    };
    let args = db.timed(vec![owner.into(), micros(lease).into()]);
    Ok(DB::execute(&mut *db.writer().await?, HOLD.on(db.dialect()), args).await? == 1)
}

/// Releases the lease, so that another instance goes on at once.
pub(crate) async fn release_lease<DB: Database>(conn: &mut DB::Connection, owner: &str) -> Result<(), Error> {
    DB::execute(conn, "delete from pavane_relay_lease where owner = $1", vec![owner.into()]).await?;
    Ok(())
}

/// Deletes the oldest batches that were sent before the durability horizon, at most `limit`, with their rows. Returns how many
/// batches.
pub(crate) async fn prune<DB: Database>(db: &Db<DB>, horizon: Duration, limit: i64) -> Result<usize, Error> {
    const OLD: Statement = Statement {
        postgres: "select id, acknowledged from pavane_sent where sent_at < (select pavane_now() - $1) \
                   order by sent_at limit $2",
        sqlite: "select id, acknowledged from pavane_sent where sent_at < $3 - $1 order by sent_at limit $2",
    };
    const ROWS: Statement = Statement {
        postgres: "delete from pavane_outbox where seq = any ($1::bigint[])",
        sqlite: "delete from pavane_outbox where seq in (select value from json_each($1))",
    };
    let args = db.timed(vec![micros(horizon).into(), limit.into()]);
    let batches = DB::fetch(&mut *db.writer().await?, OLD.on(db.dialect()), args).await?;
    if batches.is_empty() {
        return Ok(0);
    }
    let mut tx = db.begin_plain().await?;
    for batch in &batches {
        let seqs = seqs(&acknowledged::<DB>(batch, 1)?);
        DB::execute(tx.conn(), ROWS.on(db.dialect()), vec![seqs.into()]).await?;
        DB::execute(tx.conn(), "delete from pavane_sent where id = $1", vec![int::<DB>(batch, 0)?.into()]).await?;
    }
    tx.commit().await?;
    Ok(batches.len())
}

/// The values of a batch: its stream, its first and last sequence there, and its rows.
fn record(stream_created: i64, sent: &[Sent]) -> Result<Vec<Arg>, Error> {
    let sequences = || sent.iter().map(|(_, stream_seq)| *stream_seq);
    let (first, last) = (sequences().min().unwrap_or_default(), sequences().max().unwrap_or_default());
    Ok(vec![stream_created.into(), first.into(), last.into(), json(sent)?.into()])
}

fn seqs(sent: &[Sent]) -> Values {
    Values::Ints(sent.iter().map(|(seq, _)| *seq).collect())
}

fn acknowledged<DB: Database>(row: &DB::Row, index: usize) -> Result<Vec<Sent>, Error> {
    let text = text::<DB>(row, index)?;
    Ok(serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(Box::new(error)))?)
}
