//! The SQL of refused events.

use pavane_contract::Timestamp;

use super::RefusedEvent;
use crate::{
    Arg, Database, Db, Error, Statement, Values,
    store::{int, text},
};

/// The oldest rows that the broker refused.
pub(super) async fn refused<DB: Database>(db: &Db<DB>, limit: u32) -> Result<Vec<RefusedEvent>, Error> {
    const REFUSED: Statement = Statement {
        postgres: "select seq, event_id::text, subject, octet_length(payload)::bigint, emitted_at, refused \
                   from pavane_outbox where refused is not null order by seq limit $1",
        sqlite: "select seq, event_id, subject, length(payload), emitted_at, refused \
                 from pavane_outbox where refused is not null order by seq limit $1",
    };
    let mut conn = db.reader().await?;
    let rows = DB::fetch(&mut conn, REFUSED.on(db.dialect()), vec![i64::from(limit).into()]).await?;
    let event = |row: &DB::Row| {
        Ok(RefusedEvent {
            number: int::<DB>(row, 0)?,
            id: text::<DB>(row, 1)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            subject: text::<DB>(row, 2)?,
            bytes: int::<DB>(row, 3)?,
            emitted_at: Timestamp::from_microsecond(int::<DB>(row, 4)?).unwrap_or(Timestamp::MIN),
            why: text::<DB>(row, 5)?,
        })
    };
    rows.iter().map(event).collect()
}

/// Makes refused rows unsent again. Returns how many.
pub(super) async fn retry<DB: Database>(db: &Db<DB>, conn: &mut DB::Connection, numbers: &[i64]) -> Result<u64, Error> {
    const UNSENT: Statement = Statement {
        postgres: "insert into pavane_unsent (seq) select seq from pavane_outbox where refused is not null \
                   and seq = any ($1::bigint[]) on conflict do nothing",
        sqlite: "insert into pavane_unsent (seq) select seq from pavane_outbox where refused is not null \
                 and seq in (select value from json_each($1)) on conflict do nothing",
    };
    const CLEAR: Statement = Statement {
        postgres: "update pavane_outbox set refused = null where refused is not null \
                   and seq = any ($1::bigint[])",
        sqlite: "update pavane_outbox set refused = null where refused is not null \
                 and seq in (select value from json_each($1))",
    };
    let numbers = Arg::Set(Values::Ints(numbers.to_vec()));
    DB::execute(conn, UNSENT.on(db.dialect()), vec![numbers.clone()]).await?;
    Ok(DB::execute(conn, CLEAR.on(db.dialect()), vec![numbers]).await?)
}
