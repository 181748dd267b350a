//! The SQL of events that expired unread.

use pavane_outbox::{Database, Db, Error, Statement};

use super::{Kept, Noticed};
use crate::store::int;

/// Stores how far a reaction has read. Returns what is stored then, and how many lost events are new.
///
/// The row is only replaced where it is as it was read: of two instances that notice the same loss, the second one finds it
/// stored.
pub(super) async fn note<DB: Database>(db: &Db<DB>, reaction: &str, noticed: &Noticed) -> Result<(Kept, u64), Error> {
    const FIRST: &str = "insert into pavane_read (reaction, stream, read_to) values ($1, $2, $3) \
                         on conflict (reaction) do nothing";
    const KEPT: Statement = Statement {
        postgres: "select stream, read_to, expired, expired_at, pavane_now() from pavane_read where reaction = $1",
        sqlite: "select stream, read_to, expired, expired_at, $2 from pavane_read where reaction = $1",
    };
    const NOTE: &str = "update pavane_read set stream = $2, read_to = $3, expired = $4, expired_at = $5 \
                        where reaction = $1 and stream = $6 and read_to = $7";
    let mut conn = db.writer().await?;
    let first = vec![reaction.into(), noticed.stream.into(), integer(noticed.read_to).into()];
    DB::execute(&mut conn, FIRST, first).await?;
    loop {
        let rows = DB::fetch(&mut conn, KEPT.on(db.dialect()), db.timed(vec![reaction.into()])).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let before = Kept {
            stream: int::<DB>(row, 0)?,
            read_to: int::<DB>(row, 1)?.unsigned_abs(),
            expired: int::<DB>(row, 2)?.unsigned_abs(),
            expired_at: int::<DB>(row, 3)?,
        };
        let (now, new) = before.judge(noticed, int::<DB>(row, 4)?);
        let note = vec![
            reaction.into(),
            now.stream.into(),
            integer(now.read_to).into(),
            integer(now.expired).into(),
            now.expired_at.into(),
            before.stream.into(),
            integer(before.read_to).into(),
        ];
        if DB::execute(&mut conn, NOTE, note).await? > 0 {
            return Ok((now, new));
        }
    }
}

fn integer(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
