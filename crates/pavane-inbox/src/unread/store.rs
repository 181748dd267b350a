//! All SQL of what expires unread.

use pavane_outbox::{Correlation, Database, Db, Emissions, Error, Statement};

use super::{Kept, Noticed};
use crate::store::int;

/// Notes how far a reaction is. Its row is locked meanwhile: of two instances that notice the same loss, the second one finds
/// it noted. Returns what is known then, and how many of the lost were not known before.
pub(super) async fn note<DB: Database>(db: &Db<DB>, reaction: &str, noticed: &Noticed) -> Result<(Kept, u64), Error> {
    const LOCKED: Statement = Statement {
        postgres: "select stream, read_to, expired, expired_at, pavane_now() from pavane_read where reaction = $1 for update",
        sqlite: "select stream, read_to, expired, expired_at, $2 from pavane_read where reaction = $1",
    };
    const FIRST: &str = "insert into pavane_read (reaction, stream, read_to) values ($1, $2, $3) \
                         on conflict (reaction) do nothing";
    const NOTE: &str =
        "update pavane_read set stream = $2, read_to = $3, expired = $4, expired_at = $5 where reaction = $1";
    let mut tx = db.begin(Correlation::start(), Emissions::new("unread", Vec::new())).await?;
    let first = vec![reaction.into(), noticed.stream.into(), integer(noticed.read_to).into()];
    DB::execute(tx.conn(), FIRST, first).await?;
    let rows = DB::fetch(tx.conn(), LOCKED.on(db.dialect()), db.timed(vec![reaction.into()])).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let kept = Kept {
        stream: int::<DB>(row, 0)?,
        read_to: int::<DB>(row, 1)?.unsigned_abs(),
        expired: int::<DB>(row, 2)?.unsigned_abs(),
        expired_at: int::<DB>(row, 3)?,
    };
    let (now, new) = kept.judge(noticed, int::<DB>(row, 4)?);
    let note = vec![
        reaction.into(),
        now.stream.into(),
        integer(now.read_to).into(),
        integer(now.expired).into(),
        now.expired_at.into(),
    ];
    DB::execute(tx.conn(), NOTE, note).await?;
    tx.commit().await?;
    Ok((now, new))
}

fn integer(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
