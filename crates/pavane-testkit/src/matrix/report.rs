use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use pavane_choreography::Reaction;
use pavane_contract::EventRef;

/// One reaction on one event under one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    /// The reaction.
    pub reaction: String,
    /// The event.
    pub event: String,
    /// The fault.
    pub fault: String,
    /// What was different from what was expected; `None` when nothing was.
    pub difference: Option<String>,
}

/// What a fault matrix found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The service.
    pub service: String,
    /// Every case, in the order of the wiring table.
    pub cases: Vec<Case>,
}

impl Case {
    pub(super) fn of(reaction: &Reaction, event: &EventRef, fault: impl Into<String>) -> Self {
        Self { reaction: reaction.name.clone(), event: event.name.clone(), fault: fault.into(), difference: None }
    }

    /// The fault without its time or row.
    fn kind(&self) -> &str {
        [" (", " at row "].iter().fold(self.fault.as_str(), |fault, number| fault.split(number).next().unwrap_or(fault))
    }

    pub(super) fn failed(mut self, difference: String) -> Self {
        self.difference = Some(difference);
        self
    }
}

impl Report {
    pub(super) const fn of(service: String, cases: Vec<Case>) -> Self {
        Self { service, cases }
    }

    /// Whether no case failed. A service without reactions passes nothing.
    pub fn is_passed(&self) -> bool {
        !self.cases.is_empty() && self.failures().next().is_none()
    }

    /// The kinds of faults that each reaction was tried under, a line each, for a snapshot: one that is left out is seen there.
    pub fn tried(&self) -> String {
        let mut tried: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for case in &self.cases {
            tried.entry(&case.reaction).or_default().insert(case.kind());
        }
        let lines = tried.into_iter().flat_map(|(reaction, kinds)| {
            let kinds = kinds.into_iter().map(|kind| format!("  {kind}"));
            std::iter::once(format!("{reaction}:")).chain(kinds)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.difference.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        writeln!(f, "{}: {} of {} cases failed", self.service, failed, self.cases.len())?;
        for case in self.failures() {
            writeln!(f, "\n{} on {}, {}:", case.reaction, case.event, case.fault)?;
            for line in case.difference.iter().flat_map(|difference| difference.lines()) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}
