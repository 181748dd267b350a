//! What the check found.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::record::{Disturbed, Record};
use crate::Violation;

/// How many violations of a law are shown.
const SHOWN: usize = 10;

/// Whether a history is right: every law, what was looked at, and what violates it.
#[derive(Debug, Clone)]
pub struct Report {
    laws: Vec<Law>,
    felt: Vec<Felt>,
}

/// Something that must be true.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Law {
    /// What must be true.
    pub name: String,
    /// How often it was looked at: of nothing, everything is true.
    pub looked_at: usize,
    /// What violates it.
    pub violations: Vec<Violation>,
}

/// A disturbance, and how long it was felt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Felt {
    /// What was done.
    pub what: String,
    /// The longest pause between two commits that has to do with it: of the service that it was done to, or else of all. `None`: there was
    /// no commit any more.
    pub pause: Option<Duration>,
}

impl Report {
    pub(super) fn new(laws: Vec<Law>, felt: Vec<Felt>) -> Self {
        Self { laws, felt }
    }

    /// Adds something that must be true of this system: that its books balance.
    #[must_use]
    pub fn and(mut self, name: &str, looked_at: usize, violations: impl IntoIterator<Item = Violation>) -> Self {
        let (name, violations) = (name.to_owned(), violations.into_iter());
        let violations = violations.map(|violation| Violation { invariant: name.clone(), ..violation }).collect();
        self.laws.push(Law { name, looked_at, violations });
        self
    }

    /// Whether nothing violates a law.
    pub fn passed(&self) -> bool {
        self.laws.iter().all(|law| law.violations.is_empty())
    }

    /// The laws.
    pub fn laws(&self) -> &[Law] {
        &self.laws
    }

    /// All that violates a law.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.laws.iter().flat_map(|law| &law.violations)
    }

    /// What was done to the system, and how long it was felt.
    pub fn felt(&self) -> &[Felt] {
        &self.felt
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for law in &self.laws {
            let looked_at = law.looked_at;
            match law.violations.len() {
                0 => writeln!(f, "ok     {} ({looked_at} looked at)", law.name)?,
                wrong => writeln!(f, "WRONG  {} ({wrong} of {looked_at})", law.name)?,
            }
            for violation in law.violations.iter().take(SHOWN) {
                let saga = violation.saga.map(|saga| format!(" (saga {saga})")).unwrap_or_default();
                writeln!(f, "         {}{saga}", violation.what)?;
            }
            if law.violations.len() > SHOWN {
                writeln!(f, "         and {} more", law.violations.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// How long each disturbance was felt.
pub(super) fn felt(records: &[Record]) -> Vec<Felt> {
    let mut of_service: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut disturbed: Vec<&Disturbed> = Vec::new();
    for record in records {
        if let Record::Changed(change) = record {
            of_service.entry(&change.service).or_default().push(change.at);
        } else if let Record::Disturbed(what) = record {
            disturbed.push(what);
        }
    }
    let mut of_all: Vec<i64> = of_service.values().flatten().copied().collect();
    of_all.sort_unstable();
    for at in of_service.values_mut() {
        at.sort_unstable();
    }
    let felt = disturbed.into_iter().map(|it| {
        let commits = it.service.as_ref().map_or(Some(&of_all), |service| of_service.get(service.as_str()));
        let (from, to) = (it.from.as_microsecond(), it.to.as_microsecond());
        let pause = commits.and_then(|commits| longest(commits, from, to));
        Felt { what: it.what.clone(), pause: pause.map(Duration::from_micros) }
    });
    felt.collect()
}

/// The longest pause, in microseconds, that has a part of the time between `from` and `to`.
fn longest(commits: &[i64], from: i64, to: i64) -> Option<u64> {
    // From the commit before it began, if there was one, to the first one after it was over.
    let before = commits.partition_point(|at| *at < from);
    let last = commits.partition_point(|at| *at <= to);
    commits.get(last)?;
    let first = before.checked_sub(1).map_or(from, |before| commits[before]);
    let ends = &commits[before..=last];
    let starts = std::iter::once(&first).chain(ends);
    ends.iter().zip(starts).filter_map(|(end, start)| u64::try_from(end - start).ok()).max()
}
