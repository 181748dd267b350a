//! The SQL of dead letters.

use pavane_bus::Outgoing;
use pavane_outbox::{Arg, Database, Db, Error, Statement, Tx, Values};

use crate::store::{decode, int, json, text};

/// A dead letter that waits to be published.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: i64,
    pub(crate) message: Outgoing,
}

/// Writes a dead letter in the transaction that gives up on the event. One that waits already is the same one.
pub(crate) async fn keep<DB: Database>(tx: &mut Tx<DB>, reaction: &str, letter: Outgoing) -> Result<(), Error> {
    const KEEP: &str = "insert into pavane_dead_letter (message_id, reaction, subject, headers, body, kept_at) \
                        values ($1, $2, $3, $4, $5, $6) on conflict (message_id) do nothing";
    let headers = json(&letter.headers)?;
    let args = vec![
        letter.message_id.into(),
        reaction.into(),
        letter.subject.into(),
        headers.into(),
        letter.payload.to_vec().into(),
        tx.db().now().into(),
    ];
    DB::execute(tx.conn(), KEEP, args).await?;
    Ok(())
}

/// The next dead letters to publish: the oldest first, and those that failed last.
pub(crate) async fn waiting<DB: Database>(db: &Db<DB>, limit: i64) -> Result<Vec<Waiting>, Error> {
    const WAITING: &str = "select id, message_id, subject, headers, body from pavane_dead_letter \
                           where cut_at is null order by attempts, id limit $1";
    let rows = DB::fetch(&mut *db.writer().await?, WAITING, vec![limit.into()]).await?;
    let read = |row: &DB::Row| {
        let message = Outgoing {
            message_id: text::<DB>(row, 1)?,
            subject: text::<DB>(row, 2)?,
            headers: serde_json::from_str(&text::<DB>(row, 3)?).map_err(decode)?,
            payload: DB::bytes(row, 4)?.unwrap_or_default().into(),
        };
        Ok(Waiting { id: int::<DB>(row, 0)?, message })
    };
    rows.iter().map(read).collect()
}

/// How many dead letters wait to be published.
pub(crate) async fn count<DB: Database>(db: &Db<DB>) -> Result<i64, Error> {
    const COUNT: &str = "select count(*) from pavane_dead_letter where cut_at is null";
    let rows = DB::fetch(&mut *db.reader().await?, COUNT, Vec::new()).await?;
    int::<DB>(rows.first().ok_or(sqlx::Error::RowNotFound)?, 0)
}

/// Deletes dead letters that were published.
pub(crate) async fn published<DB: Database>(db: &Db<DB>, ids: &[i64]) -> Result<(), Error> {
    const PUBLISHED: Statement = Statement {
        postgres: "delete from pavane_dead_letter where id = any ($1::bigint[])",
        sqlite: "delete from pavane_dead_letter where id in (select value from json_each($1))",
    };
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, PUBLISHED.on(db.dialect()), vec![set(ids)]).await?;
    Ok(())
}

/// Records that dead letters were published without their body. The row keeps the body.
pub(crate) async fn cut<DB: Database>(db: &Db<DB>, ids: &[i64]) -> Result<(), Error> {
    const CUT: Statement = Statement {
        postgres: "update pavane_dead_letter set cut_at = pavane_now() where id = any ($1::bigint[])",
        sqlite: "update pavane_dead_letter set cut_at = $2 where id in (select value from json_each($1))",
    };
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, CUT.on(db.dialect()), db.timed(vec![set(ids)])).await?;
    Ok(())
}

/// Records that dead letters couldn't be published, so that others come first.
pub(crate) async fn failed<DB: Database>(db: &Db<DB>, ids: &[i64], why: &str) -> Result<(), Error> {
    const FAILED: Statement = Statement {
        postgres: "update pavane_dead_letter set attempts = attempts + 1, failure = $2 where id = any ($1::bigint[])",
        sqlite: "update pavane_dead_letter set attempts = attempts + 1, failure = $2 \
                 where id in (select value from json_each($1))",
    };
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, FAILED.on(db.dialect()), vec![set(ids), why.into()]).await?;
    Ok(())
}

fn set(ids: &[i64]) -> Arg {
    Arg::Set(Values::Ints(ids.to_vec()))
}
