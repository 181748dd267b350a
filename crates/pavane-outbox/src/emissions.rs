use std::sync::Arc;

use pavane_choreography::Emission;
use pavane_contract::EventRef;

/// What one reaction or entry point declares that it emits. Its transactions may emit nothing else.
#[derive(Debug, Clone)]
pub struct Emissions {
    who: Arc<str>,
    groups: Arc<[Emission]>,
}

impl Emissions {
    /// The declaration of `who`, a name for error messages.
    pub fn new(who: impl Into<Arc<str>>, groups: impl Into<Arc<[Emission]>>) -> Self {
        Self { who: who.into(), groups: groups.into() }
    }

    /// For a transaction of `who` that emits nothing.
    pub fn nothing(who: &str) -> Self {
        Self::new(who, Vec::new())
    }

    /// The reaction or entry point that declared it.
    pub fn who(&self) -> &str {
        &self.who
    }

    pub(crate) fn allow_now(&self, event: &EventRef) -> bool {
        self.any(event, |group| !matches!(group, Emission::Outcome(_) | Emission::Scheduled(_)))
    }

    pub(crate) fn allow_outcome(&self, event: &EventRef) -> bool {
        self.any(event, |group| matches!(group, Emission::Outcome(_)))
    }

    pub(crate) fn allow_later(&self, event: &EventRef) -> bool {
        self.any(event, |group| matches!(group, Emission::Scheduled(_)))
    }

    /// What the emitted events lack or have too much, compared with the declaration; `None` when they fit.
    pub fn unmet(&self, emitted: &[EventRef]) -> Option<String> {
        self.groups.iter().find_map(|group| {
            let count = |event: &EventRef| emitted.iter().filter(|emitted| *emitted == event).count();
            let of = |events: &[EventRef]| events.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if let Emission::All(events) = group {
                let missing = events.iter().find(|event| count(event) == 0)?;
                return Some(format!("it declares that it emits {missing} each time, and did not"));
            }
            let Emission::OneOf(events) = group else { return None };
            let total: usize = events.iter().map(count).sum();
            (total != 1)
                .then(|| format!("it declares that it emits exactly one of {}, and emitted {total}", of(events)))
        })
    }

    fn any(&self, event: &EventRef, kind: impl Fn(&Emission) -> bool) -> bool {
        self.groups.iter().any(|group| kind(group) && group.events().contains(event))
    }
}
