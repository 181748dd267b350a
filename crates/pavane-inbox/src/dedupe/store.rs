//! The SQL of claims on effects outside this database.

use pavane_outbox::{Database, Db, Error, Statement};

/// Takes a claim that is free or has expired, for `lease` microseconds. Two that try at once meet at the primary key, and the
/// second finds it held.
pub(super) async fn take<DB: Database>(db: &Db<DB>, key: &str, token: &str, lease: i64) -> Result<bool, Error> {
    const TAKE: Statement = Statement {
        postgres: "insert into pavane_claim (key, token, state, expires_at) values ($1, $2, 'held', pavane_now() + $3) \
                   on conflict (key) do update set token = excluded.token, state = excluded.state, \
                   expires_at = excluded.expires_at where pavane_claim.expires_at <= pavane_now()",
        sqlite: "insert into pavane_claim (key, token, state, expires_at) values ($1, $2, 'held', $4 + $3) \
                 on conflict (key) do update set token = excluded.token, state = excluded.state, \
                 expires_at = excluded.expires_at where pavane_claim.expires_at <= $4",
    };
    let args = db.timed(vec![key.into(), token.into(), lease.into()]);
    Ok(DB::execute(&mut *db.writer().await?, TAKE.on(db.dialect()), args).await? == 1)
}

/// Whether a claim was confirmed.
pub(super) async fn is_done<DB: Database>(conn: &mut DB::Connection, key: &str) -> Result<bool, Error> {
    let rows = DB::fetch(conn, "select state from pavane_claim where key = $1", vec![key.into()]).await?;
    rows.first().map_or(Ok(false), |row| Ok(DB::text(row, 0)?.as_deref() == Some("done")))
}

/// Confirms a claim that is still held under this token, and keeps that for `retention` microseconds.
pub(super) async fn confirm<DB: Database>(db: &Db<DB>, key: &str, token: &str, retention: i64) -> Result<bool, Error> {
    const CONFIRM: Statement = Statement {
        postgres: "update pavane_claim set state = 'done', expires_at = pavane_now() + $3 \
                   where key = $1 and token = $2 and state = 'held'",
        sqlite: "update pavane_claim set state = 'done', expires_at = $4 + $3 \
                 where key = $1 and token = $2 and state = 'held'",
    };
    let args = db.timed(vec![key.into(), token.into(), retention.into()]);
    Ok(DB::execute(&mut *db.writer().await?, CONFIRM.on(db.dialect()), args).await? == 1)
}

/// Frees a claim that is still held under this token.
pub(super) async fn release<DB: Database>(conn: &mut DB::Connection, key: &str, token: &str) -> Result<(), Error> {
    const RELEASE: &str = "delete from pavane_claim where key = $1 and token = $2 and state = 'held'";
    DB::execute(conn, RELEASE, vec![key.into(), token.into()]).await?;
    Ok(())
}
