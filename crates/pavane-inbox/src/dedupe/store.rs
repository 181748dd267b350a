//! The SQL of claims on effects outside this database.

use pavane_outbox::{Database, Db, Error, Statement};

/// What the table has about a key.
pub(super) enum Known {
    /// The work is done, with this answer.
    Done(String),
    /// It is claimed for so many microseconds.
    Held { left: i64 },
}

/// Claims a key that is free or whose claim has expired, for `lease` microseconds. Two that try at once meet at the primary key,
/// and the second finds it held.
pub(super) async fn take<DB: Database>(db: &Db<DB>, key: &str, token: &str, lease: i64) -> Result<bool, Error> {
    const TAKE: Statement = Statement {
        postgres: "insert into pavane_claim (key, token, state, expires_at) values ($1, $2, 'held', pavane_now() + $3) \
                   on conflict (key) do update set token = excluded.token, state = excluded.state, answer = null, \
                   expires_at = excluded.expires_at where pavane_claim.expires_at <= pavane_now()",
        sqlite: "insert into pavane_claim (key, token, state, expires_at) values ($1, $2, 'held', $4 + $3) \
                 on conflict (key) do update set token = excluded.token, state = excluded.state, answer = null, \
                 expires_at = excluded.expires_at where pavane_claim.expires_at <= $4",
    };
    let args = db.timed(vec![key.into(), token.into(), lease.into()]);
    Ok(DB::execute(&mut *db.writer().await?, TAKE.on(db.dialect()), args).await? == 1)
}

/// What the table has about a key that can't be claimed; `None` when it has been released since.
pub(super) async fn look<DB: Database>(db: &Db<DB>, key: &str) -> Result<Option<Known>, Error> {
    const LOOK: Statement = Statement {
        postgres: "select state, answer, expires_at - pavane_now() from pavane_claim where key = $1",
        sqlite: "select state, answer, expires_at - $2 from pavane_claim where key = $1",
    };
    let args = db.timed(vec![key.into()]);
    let rows = DB::fetch(&mut *db.writer().await?, LOOK.on(db.dialect()), args).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if DB::text(row, 0)?.as_deref() == Some("done") {
        return Ok(Some(Known::Done(DB::text(row, 1)?.unwrap_or_default())));
    }
    Ok(Some(Known::Held { left: DB::int(row, 2)?.unwrap_or_default() }))
}

/// Confirms a claim that is still held under this token, and keeps the answer for `retention` microseconds.
pub(super) async fn confirm<DB: Database>(
    db: &Db<DB>,
    (key, token): (&str, &str),
    answer: String,
    retention: i64,
) -> Result<bool, Error> {
    const CONFIRM: Statement = Statement {
        postgres: "update pavane_claim set state = 'done', answer = $3, expires_at = pavane_now() + $4 \
                   where key = $1 and token = $2 and state = 'held'",
        sqlite: "update pavane_claim set state = 'done', answer = $3, expires_at = $5 + $4 \
                 where key = $1 and token = $2 and state = 'held'",
    };
    let args = db.timed(vec![key.into(), token.into(), answer.into(), retention.into()]);
    Ok(DB::execute(&mut *db.writer().await?, CONFIRM.on(db.dialect()), args).await? == 1)
}

/// Deletes a claim that is still held under this token.
pub(super) async fn release<DB: Database>(db: &Db<DB>, key: &str, token: &str) -> Result<(), Error> {
    const RELEASE: &str = "delete from pavane_claim where key = $1 and token = $2 and state = 'held'";
    DB::execute(&mut *db.writer().await?, RELEASE, vec![key.into(), token.into()]).await?;
    Ok(())
}
