use std::{collections::BTreeSet, fmt, time::Duration};

use pavane::SagaId;

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When, since the run began.
    pub at: Duration,
    /// Who did it: a process and its reaction, the broker, a customer.
    pub who: String,
    /// What was done.
    pub what: String,
    /// The saga that it is about; `None` for what concerns all.
    pub saga: Option<SagaId>,
}

/// Everything that happened in a run, in order. The same plan has the same trace, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace(Vec<Entry>);

impl Trace {
    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// Everything, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// What concerns some sagas: what is about them, and what concerns all while they last.
    #[must_use]
    pub fn of(&self, sagas: &BTreeSet<SagaId>) -> Self {
        let about = |entry: &Entry| entry.saga.is_some_and(|saga| sagas.contains(&saga));
        let begin = self.0.iter().position(about).unwrap_or(self.0.len());
        let end = self.0.iter().rposition(about).map_or(begin, |last| last + 1);
        let lasting = self.0[begin..end].iter();
        Self(lasting.filter(|entry| entry.saga.is_none() || about(entry)).cloned().collect())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|entry| entry.who.len()).max().unwrap_or(0);
        for Entry { at, who, what, saga } in &self.0 {
            // The end of a version 7 UUID is what differs.
            let saga = saga.map(|saga| saga.to_string()[24..].to_owned()).unwrap_or_default();
            writeln!(f, "{:>12.6} s  {saga:12}  {who:width$}  {what}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
