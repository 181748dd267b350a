//! The SQL of entry points. `PostgreSQL` only.

use super::{Limits, Row};
use crate::{Database, Db, Error, store::json};

/// Replaces the entry points. Instances that start at once take turns; who emits meanwhile sees the ones before or the ones
/// after, and waits for nothing.
pub(super) async fn replace<DB: Database>(
    db: &Db<DB>,
    service: &str,
    names: &[&str],
    rows: &[Row<'_>],
) -> Result<(), Error> {
    const ALONE: &str = "lock table pavane_entry in share row exclusive mode";
    const FORGET: &str = "delete from pavane_entry";
    const ENTRIES: &str = "insert into pavane_entry \
                           (name, service, memory, askable, schedulable, outbox_rows, outbox_age) \
                           select name, $1, memory, askable, schedulable, outbox_rows, outbox_age \
                           from json_array_elements_text($2::json) as name, json_to_record($3::json) as limits \
                           (memory bigint, askable bigint, schedulable bigint, outbox_rows bigint, outbox_age bigint)";
    const EVENTS: &str = "insert into pavane_entry_event \
                          (entry, event, version, subject, schema, emits, schedules, decides) \
                          select entry, event, version, subject, schema, emits, schedules, decides \
                          from json_to_recordset($1::json) as rows (entry text, event text, version integer, \
                          subject text, schema text, emits boolean, schedules boolean, decides boolean)";
    let mut tx = db.begin_plain().await?;
    DB::execute(tx.conn(), ALONE, Vec::new()).await?;
    DB::execute(tx.conn(), FORGET, Vec::new()).await?;
    let entries = vec![service.into(), json(names)?.into(), json(&Limits::of(db))?.into()];
    DB::execute(tx.conn(), ENTRIES, entries).await?;
    DB::execute(tx.conn(), EVENTS, vec![json(rows)?.into()]).await?;
    tx.commit().await
}
