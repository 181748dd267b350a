use std::{collections::BTreeSet, fmt::Debug};

use crate::{ConsumerConfig, Error};

/// The differences between what exists and what is wanted: collected setting by setting, judged at the end.
///
/// Both buses have the same rule: a limit may grow, a set of subjects may gain members, and every other change is refused,
/// because it would lose messages or surprise another service that shares the stream.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    changes: Vec<String>,
    refused: Vec<String>,
}

impl Drift {
    /// A setting that can't be changed safely.
    pub(crate) fn fixed<T: PartialEq + Debug>(&mut self, setting: &str, found: &T, wanted: &T, remedy: &str) {
        if found != wanted {
            self.refuse(setting, found, wanted, remedy);
        }
    }

    /// A limit that may only grow.
    pub(crate) fn grows<T: PartialOrd + Debug>(&mut self, setting: &str, found: &T, wanted: &T) {
        if found < wanted {
            self.change(setting, found, wanted);
        } else if found > wanted {
            self.refuse(
                setting,
                found,
                wanted,
                "raise the wanted value to the existing one, or shrink the existing one by hand",
            );
        }
    }

    /// A set that may only gain members.
    pub(crate) fn gains(&mut self, setting: &str, found: &BTreeSet<String>, wanted: &BTreeSet<String>) {
        if !found.is_subset(wanted) {
            self.refuse(
                setting,
                found,
                wanted,
                "want the missing ones too, or remove them by hand once nobody needs them",
            );
        } else if found != wanted {
            self.change(setting, found, wanted);
        }
    }

    /// A setting that may change in either direction.
    pub(crate) fn free<T: PartialEq + Debug>(&mut self, setting: &str, found: &T, wanted: &T) {
        if found != wanted {
            self.change(setting, found, wanted);
        }
    }

    /// The settings of a consumer that both buses have.
    pub(crate) fn consumer(&mut self, found: &ConsumerConfig, wanted: &ConsumerConfig) {
        self.gains("filter_subjects", &set(&found.filter_subjects), &set(&wanted.filter_subjects));
        self.free("ack_wait", &found.ack_wait, &wanted.ack_wait);
        self.free("max_ack_pending", &found.max_ack_pending, &wanted.max_ack_pending);
    }

    /// Whether an update is needed.
    pub(crate) fn judge(self, what: impl Into<String>) -> Result<bool, Error> {
        if self.refused.is_empty() {
            return Ok(!self.changes.is_empty());
        }
        Err(Error::Differs { what: what.into(), difference: self.refused.join("; ") })
    }

    /// Refuses all differences, where nothing may be changed. `fix` is the command that makes the changes.
    pub(crate) fn verify(mut self, what: impl Into<String>, fix: &str) -> Result<(), Error> {
        if !self.changes.is_empty() {
            self.refused.push(format!(
                "{} (PAVANE_VERIFY_ONLY is on, so it stays as it is; to change it, an operator runs `{fix}`)",
                self.changes.join(", ")
            ));
        }
        self.judge(what).map(drop)
    }

    fn change(&mut self, setting: &str, found: &impl Debug, wanted: &impl Debug) {
        self.changes.push(format!("{setting} is {found:?}, wanted {wanted:?}"));
    }

    fn refuse(&mut self, setting: &str, found: &impl Debug, wanted: &impl Debug, remedy: &str) {
        self.refused.push(format!("{setting} is {found:?}, wanted {wanted:?} ({remedy})"));
    }
}

/// Subjects without order and repetition.
pub(crate) fn set<S: AsRef<str>>(subjects: &[S]) -> BTreeSet<String> {
    subjects.iter().map(|subject| subject.as_ref().to_owned()).collect()
}
