use std::sync::Arc;

use pavane_choreography::{Emission, Entry, Manifest, Question, manifest::Emitter};
use pavane_contract::EventRef;

use crate::step::Step;

/// What one reaction or entry point declares that it emits. Its transactions may emit nothing else.
#[derive(Debug, Clone)]
pub struct Emissions {
    who: Arc<str>,
    groups: Arc<[Emission]>,
    service: Arc<Service>,
    /// The question that is answered there.
    answers: Option<Arc<Asked>>,
    /// What is kept there for an undo.
    step: Option<Arc<Step>>,
}

/// What holds for a whole service: a timer may be cancelled elsewhere than where it was set, and a question is answered elsewhere than
/// where it was asked.
#[derive(Debug, Default)]
struct Service {
    scheduled: Vec<EventRef>,
    /// Names.
    cancelled_by_outcome: Vec<String>,
    questions: Vec<Arc<Asked>>,
}

/// A question that a service asks.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The entry point that answers it.
    pub(crate) entry: String,
    pub(crate) question: Question,
}

impl Asked {
    /// The name of the timer that ends the wait for an answer.
    pub(crate) fn expiry(&self) -> Option<&str> {
        self.question.expires_with.as_ref().map(|event| event.name.as_str())
    }
}

impl Emissions {
    /// The declaration of `who`, a name for error messages, that belongs to no service's wiring table: it can emit what `groups` say, and
    /// cancels no timers.
    pub fn new(who: impl Into<Arc<str>>, groups: impl Into<Arc<[Emission]>>) -> Self {
        Self { who: who.into(), groups: groups.into(), service: Arc::default(), answers: None, step: None }
    }

    /// The declaration of a service's reaction of this name.
    pub fn of(manifest: &Manifest, name: &str, groups: impl Into<Arc<[Emission]>>) -> Self {
        let scheduled = manifest.scheduled().cloned().collect();
        let cancelled_by_outcome = manifest.cancelled_by_outcome().into_iter().map(str::to_owned).collect();
        let asked = |entry: &Entry| {
            let question = entry.answers.clone()?;
            Some(Arc::new(Asked { entry: entry.name.clone(), question }))
        };
        let questions = manifest.entries.iter().filter_map(asked).collect();
        let service = Arc::new(Service { scheduled, cancelled_by_outcome, questions });
        Self { service, ..Self::new(format!("{}/{name}", manifest.service), groups) }
    }

    /// The declaration of a service's entry point.
    pub fn at(manifest: &Manifest, entry: &Entry) -> Self {
        let emissions = Self::of(manifest, &entry.name, entry.emits.clone());
        let answers = emissions.service.questions.iter().find(|asked| asked.entry == entry.name).cloned();
        let step = |(_, keeps): (_, &EventRef)| Arc::new(Step { name: entry.name.clone(), keeps: keeps.clone() });
        Self { answers, step: manifest.undo_of(Emitter::Entry(entry)).map(step), ..emissions }
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
        self.groups.iter().any(|group| {
            // The items themselves are emitted as a list.
            let list = usize::from(matches!(group, Emission::Each(_)));
            let now = !matches!(group, Emission::Outcome(_) | Emission::Scheduled(_));
            now && group.events().iter().skip(list).any(|allowed| allowed == event)
        })
    }

    pub(crate) fn allow_each(&self, event: &EventRef) -> bool {
        self.groups.iter().any(|group| matches!(group, Emission::Each(events) if events.first() == Some(event)))
    }

    /// What is emitted where the list of an event is empty.
    pub(crate) fn or_if_none(&self, event: &EventRef) -> Option<&EventRef> {
        let list = |group: &&Emission| matches!(group, Emission::Each(events) if events.first() == Some(event));
        self.groups.iter().find(list)?.events().get(1)
    }

    pub(crate) fn allow_outcome(&self, event: &EventRef) -> bool {
        self.any(event, |group| matches!(group, Emission::Outcome(_)))
    }

    pub(crate) fn allow_later(&self, event: &EventRef) -> bool {
        self.any(event, |group| matches!(group, Emission::Scheduled(_)))
    }

    /// Whether the service schedules the event, here or elsewhere.
    pub(crate) fn allow_cancel(&self, event: &EventRef) -> bool {
        self.service.scheduled.contains(event)
    }

    /// The names of the timers that an outcome of the saga cancels.
    pub(crate) fn cancelled_by_outcome(&self) -> &[String] {
        &self.service.cancelled_by_outcome
    }

    /// The question that an event asks, if it is one.
    pub(crate) fn asks(&self, event: &EventRef) -> Option<&Arc<Asked>> {
        self.service.questions.iter().find(|asked| asked.question.asks == *event)
    }

    /// The question that is answered here, if one is.
    pub(crate) fn answers(&self) -> Option<&Arc<Asked>> {
        self.answers.as_ref()
    }

    /// What an entry point that is a step keeps for its undo.
    pub(crate) fn step(&self) -> Option<&Step> {
        self.step.as_deref()
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
            if let Emission::Each(events) = group {
                let (items, none) = events.split_at_checked(1)?;
                let listed = usize::from(items.iter().map(count).any(|times| times > 0));
                let instead =
                    if none.is_empty() { String::new() } else { format!(", or {} for an empty one", of(none)) };
                return (listed + none.iter().map(count).sum::<usize>() != 1)
                    .then(|| format!("it declares that it emits a list of {}{instead}, and did not", of(items)));
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
