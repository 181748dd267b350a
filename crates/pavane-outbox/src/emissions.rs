use std::sync::Arc;

use pavane_choreography::{Emission, Manifest};
use pavane_contract::EventRef;

/// What one reaction or entry point declares that it emits. Its transactions may emit nothing else.
#[derive(Debug, Clone)]
pub struct Emissions {
    who: Arc<str>,
    groups: Arc<[Emission]>,
    timers: Arc<Timers>,
}

/// What a whole service emits later: a timer may be cancelled elsewhere than where it was set.
#[derive(Debug, Default)]
struct Timers {
    scheduled: Vec<EventRef>,
    /// Names.
    cancelled_by_outcome: Vec<String>,
}

impl Emissions {
    /// The declaration of `who`, a name for error messages, that belongs to no service's wiring table: it can emit what `groups` say, and
    /// cancels no timers.
    pub fn new(who: impl Into<Arc<str>>, groups: impl Into<Arc<[Emission]>>) -> Self {
        Self { who: who.into(), groups: groups.into(), timers: Arc::default() }
    }

    /// The declaration of a service's reaction or entry point of this name.
    pub fn of(manifest: &Manifest, name: &str, groups: impl Into<Arc<[Emission]>>) -> Self {
        let scheduled = manifest.scheduled().cloned().collect();
        let cancelled_by_outcome = manifest.cancelled_by_outcome().into_iter().map(str::to_owned).collect();
        let timers = Arc::new(Timers { scheduled, cancelled_by_outcome });
        Self { timers, ..Self::new(format!("{}/{name}", manifest.service), groups) }
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

    /// Whether the service schedules the event, here or elsewhere.
    pub(crate) fn allow_cancel(&self, event: &EventRef) -> bool {
        self.timers.scheduled.contains(event)
    }

    /// The names of the timers that an outcome of the saga cancels.
    pub(crate) fn cancelled_by_outcome(&self) -> &[String] {
        &self.timers.cancelled_by_outcome
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
