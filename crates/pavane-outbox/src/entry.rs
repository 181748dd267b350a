//! A service's entry points as rows. `pavane_emit` checks by them what its callers may emit.

mod store;

use pavane_choreography::{Emission, Entry, Manifest, manifest::Emitter};
use pavane_contract::{EventRef, codec, subject};

use crate::{Database, Db, Dialect, Error, db::micros};

/// One event that an entry point declares, and how it may be emitted there.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column, and may be so without the others")]
struct Row<'m> {
    entry: &'m str,
    event: &'m str,
    version: u16,
    /// The event's subject, without the key.
    subject: String,
    /// The value of `dataschema`.
    schema: String,
    emits: bool,
    schedules: bool,
    decides: bool,
    /// The entry point that answers the event; empty where it is no question.
    answer_entry: &'m str,
    /// Whether the event is kept for the undo of the entry point.
    keeps: bool,
}

impl<DB: Database> Db<DB> {
    /// Replaces the rows that say which events a service's entry points declare. A service calls it when it starts; where
    /// several versions run at once, the one that started last counts. Does nothing on SQLite.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn declare_entries(&self, manifest: &Manifest) -> Result<(), Error> {
        if self.dialect() != Dialect::Postgres {
            return Ok(());
        }
        let rows: Vec<_> = manifest.entries.iter().flat_map(|entry| rows(manifest, entry)).collect();
        self.within(store::replace(self, manifest, &rows)).await
    }
}

/// One row for each event, even where several groups have it.
fn rows<'m>(manifest: &'m Manifest, entry: &'m Entry) -> Vec<Row<'m>> {
    let Entry { name, emits: groups, .. } = entry;
    let mut events: Vec<&EventRef> = groups.iter().flat_map(Emission::events).collect();
    events.sort();
    events.dedup();
    let kept = manifest.undo_of(Emitter::Entry(entry));
    let row = |event: &'m EventRef| {
        let has = |kind: fn(&Emission) -> bool| groups.iter().any(|it| kind(it) && it.events().contains(event));
        let decides = has(|group| matches!(group, Emission::Outcome(_)));
        let schedules = has(|group| matches!(group, Emission::Scheduled(_)));
        let emits = has(|group| !matches!(group, Emission::Outcome(_) | Emission::Scheduled(_)));
        let subject = subject::filter(event).trim_end_matches('*').to_owned();
        let schema = codec::data_schema(event);
        let answer_entry =
            manifest.entries.iter().find(|entry| entry.answers.as_ref().is_some_and(|it| it.asks == *event));
        let answer_entry = answer_entry.map_or("", |entry| &entry.name);
        Row {
            entry: name,
            event: &event.name,
            version: event.version,
            subject,
            schema,
            emits,
            schedules,
            decides,
            answer_entry,
            keeps: kept.is_some_and(|(_, kept)| kept == event),
        }
    };
    events.into_iter().map(row).collect()
}

/// The bounds as they are stored, in microseconds and rows.
#[derive(Debug)]
struct Limits {
    memory: i64,
    askable: i64,
    schedulable: i64,
    outbox_rows: i64,
    outbox_age: i64,
}

impl Limits {
    fn of<DB: Database>(db: &Db<DB>) -> Self {
        let bounds = db.bounds();
        Self {
            memory: micros(bounds.memory),
            askable: micros(bounds.askable()),
            schedulable: micros(bounds.schedulable()),
            outbox_rows: i64::from(bounds.outbox_rows),
            outbox_age: micros(bounds.outbox_age),
        }
    }
}
