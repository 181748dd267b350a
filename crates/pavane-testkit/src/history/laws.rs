//! What must be true of every system that has come to rest.

mod events;
mod sagas;

use super::{facts::Facts, report::Law};
use crate::Violation;

/// Every law, with what violates it.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Law> {
    vec![
        events::recorded(facts),
        sagas::one_outcome(facts),
        sagas::ends(facts),
        sagas::steps(facts),
        events::committed_and_published(facts),
        events::caused(facts),
        events::emitted(facts),
        events::handled_once(facts),
        events::in_order(facts),
        events::nothing_waits(facts),
        events::nothing_given_up(facts),
        sagas::effective_once(facts),
    ]
}

/// Looks at things one after the other.
struct Looking {
    name: &'static str,
    looked_at: usize,
    violations: Vec<Violation>,
}

impl Looking {
    const fn at(name: &'static str) -> Self {
        Self { name, looked_at: 0, violations: Vec::new() }
    }

    /// One more was looked at, and this is wrong with it.
    fn found(&mut self, wrong: impl IntoIterator<Item = Violation>) {
        self.looked_at += 1;
        let name = self.name;
        self.violations
            .extend(wrong.into_iter().map(|violation| Violation { invariant: name.to_owned(), ..violation }));
    }

    fn law(self) -> Law {
        Law { name: self.name.to_owned(), looked_at: self.looked_at, violations: self.violations }
    }
}
