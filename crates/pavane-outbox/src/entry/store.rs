//! The SQL of entry points. `PostgreSQL` only.

use std::collections::BTreeSet;

use pavane_choreography::{Entry, Manifest};

use super::{Limits, Row};
use crate::{Arg, Database, Db, Error, Values};

/// Replaces the entry points. Instances that start at once take turns. `pavane_emit` sees the old rows or the new ones, and
/// doesn't wait.
pub(super) async fn replace<DB: Database>(db: &Db<DB>, manifest: &Manifest, rows: &[Row<'_>]) -> Result<(), Error> {
    const ALONE: &str = "lock table pavane_entry in share row exclusive mode";
    const FORGET: &str = "delete from pavane_entry";
    const ENTRIES: &str = "insert into pavane_entry \
                           (name, service, memory, askable, schedulable, outbox_rows, outbox_age, scheduled, \
                           cancelled_by_outcome, answers) \
                           select name, $2, $3, $4, $5, $6, $7, $8::text[], $9::text[], nullif(answers, '') \
                           from unnest($1::text[], $10::text[]) as entries (name, answers)";
    const EVENTS: &str = "insert into pavane_entry_event \
                          (entry, event, version, subject, schema, emits, schedules, decides, answer_entry, keeps) \
                          select entry, event, version, subject, schema, emits <> 0, schedules <> 0, decides <> 0, \
                          nullif(answer_entry, ''), keeps <> 0 \
                          from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], \
                          $7::bigint[], $8::bigint[], $9::text[], $10::bigint[]) \
                          as rows (entry, event, version, subject, schema, emits, schedules, decides, answer_entry, keeps)";
    let mut tx = db.begin_plain().await?;
    DB::execute(tx.conn(), ALONE, Vec::new()).await?;
    DB::execute(tx.conn(), FORGET, Vec::new()).await?;
    let names = manifest.entries.iter().map(|entry| entry.name.clone()).collect();
    let scheduled: BTreeSet<_> = manifest.scheduled().map(|event| event.name.as_str()).collect();
    let timers = [scheduled, manifest.cancelled_by_outcome()];
    let Limits { memory, askable, schedulable, outbox_rows, outbox_age } = Limits::of(db);
    let mut entries = vec![Values::Texts(names).into(), manifest.service.as_str().into()];
    entries.extend([memory, askable, schedulable, outbox_rows, outbox_age].map(Arg::Int));
    entries.extend(timers.map(|names| Arg::Set(Values::Texts(names.into_iter().map(str::to_owned).collect()))));
    let answered =
        |entry: &Entry| entry.answers.as_ref().map(|question| question.asks.name.clone()).unwrap_or_default();
    entries.push(Values::Texts(manifest.entries.iter().map(answered).collect()).into());
    DB::execute(tx.conn(), ENTRIES, entries).await?;
    DB::execute(tx.conn(), EVENTS, vec![Arg::Rows(columns(rows))]).await?;
    tx.commit().await
}

fn columns(rows: &[Row<'_>]) -> Vec<Values> {
    let texts = |of: fn(&Row<'_>) -> String| Values::Texts(rows.iter().map(of).collect());
    let ints = |of: fn(&Row<'_>) -> i64| Values::Ints(rows.iter().map(of).collect());
    vec![
        texts(|row| row.entry.to_owned()),
        texts(|row| row.event.to_owned()),
        ints(|row| row.version.into()),
        texts(|row| row.subject.clone()),
        texts(|row| row.schema.clone()),
        ints(|row| row.emits.into()),
        ints(|row| row.schedules.into()),
        ints(|row| row.decides.into()),
        texts(|row| row.answer_entry.to_owned()),
        ints(|row| row.keeps.into()),
    ]
}
