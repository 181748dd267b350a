//! Findings, and how they are printed.

use std::fmt;

use serde::Serialize;

use crate::{
    style::{BAD, CAREFUL, FAINT, GOOD, STRONG, Styled},
    words,
};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    /// Good to know.
    Remark,
    /// It will hurt when something else happens.
    Risk,
    /// It hurts already, or a guarantee does not hold.
    Fault,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What is wrong.
    pub(super) what: String,
    /// What could happen because of it.
    pub(super) could_happen: String,
    /// How to correct it.
    pub(super) fix: String,
}

/// A check and its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was checked.
    pub(super) about: &'static str,
    /// What was seen, in a few words.
    pub(super) seen: String,
    pub(super) findings: Vec<Finding>,
}

/// All checks.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) checks: Vec<Check>,
}

impl Finding {
    fn new(severity: Severity, what: String, could_happen: &str, fix: impl Into<String>) -> Self {
        Self { severity, what, could_happen: could_happen.to_owned(), fix: fix.into() }
    }

    pub(super) fn remark(what: String, could_happen: &str, fix: impl Into<String>) -> Self {
        Self::new(Severity::Remark, what, could_happen, fix)
    }

    pub(super) fn risk(what: String, could_happen: &str, fix: impl Into<String>) -> Self {
        Self::new(Severity::Risk, what, could_happen, fix)
    }

    pub(super) fn fault(what: String, could_happen: &str, fix: impl Into<String>) -> Self {
        Self::new(Severity::Fault, what, could_happen, fix)
    }
}

impl Report {
    /// The worst finding's severity.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.checks.iter().flat_map(|check| &check.findings).map(|finding| finding.severity).max()
    }

    fn count(&self, severity: Severity) -> u64 {
        self.checks.iter().flat_map(|check| &check.findings).filter(|finding| finding.severity == severity).count()
            as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { about, seen, findings } in &self.checks {
            let worst = findings.iter().map(|finding| finding.severity).max();
            let mark = match worst {
                None => Styled(GOOD, "✓"),
                Some(severity) => severity.mark(),
            };
            writeln!(f, "{mark} {}  {}", Styled(STRONG, about), Styled(FAINT, seen))?;
            for Finding { severity, what, could_happen, fix } in findings {
                writeln!(f, "    {} {what}", severity.mark())?;
                writeln!(f, "      what could happen: {could_happen}")?;
                writeln!(f, "      fix: {fix}")?;
            }
        }
        let counted = |severity, what| words::counted(self.count(severity), what);
        let (faults, risks) = (counted(Severity::Fault, "fault"), counted(Severity::Risk, "risk"));
        write!(f, "\n{faults}, {risks}, {}", counted(Severity::Remark, "remark"))
    }
}

impl Severity {
    const fn mark(self) -> Styled<&'static str> {
        match self {
            Self::Remark => Styled(FAINT, "·"),
            Self::Risk => Styled(CAREFUL, "!"),
            Self::Fault => Styled(BAD, "✗"),
        }
    }
}
