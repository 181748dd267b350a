use std::fmt;

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
