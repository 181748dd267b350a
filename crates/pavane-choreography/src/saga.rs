use std::time::Duration;

use pavane_contract::{Event, EventRef, EventSet};
use serde::{Deserialize, Serialize};

/// One kind of business transaction: what starts it, how it ends, and within what time.
///
/// Plain data, like a [`Manifest`](crate::Manifest): a monitor reads it from where the services left it.
///
/// # Examples
///
/// See [`Choreography::assert_sound`](crate::Choreography::assert_sound).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Saga {
    /// Its name: `order`.
    pub name: String,
    /// The event that starts it. An entry point emits it.
    pub starts_with: Option<EventRef>,
    /// The outcomes that say it succeeded.
    pub completes_with: Vec<EventRef>,
    /// The outcomes that say it failed; the undos follow from them.
    pub aborts_with: Vec<EventRef>,
    /// How long it may take at most. Zero: not declared.
    pub within: Duration,
    /// Events that nobody has to consume.
    pub terminal: Vec<EventRef>,
    /// Events whose emitter leaves nothing behind that would have to be undone.
    pub without_undo: Vec<EventRef>,
}

impl Saga {
    /// Declares a saga of which nothing is said yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            starts_with: None,
            completes_with: Vec::new(),
            aborts_with: Vec::new(),
            within: Duration::ZERO,
            terminal: Vec::new(),
            without_undo: Vec::new(),
        }
    }

    /// Says which event starts it.
    #[must_use]
    pub fn starts_with<E: Event>(mut self) -> Self {
        self.starts_with = Some(EventRef::of::<E>());
        self
    }

    /// Says which outcomes complete it: one event or a tuple of events.
    #[must_use]
    pub fn completes_with<E: EventSet>(mut self) -> Self {
        self.completes_with.extend(E::refs());
        self
    }

    /// Says which outcomes abort it: one event or a tuple of events.
    #[must_use]
    pub fn aborts_with<E: EventSet>(mut self) -> Self {
        self.aborts_with.extend(E::refs());
        self
    }

    /// Says how long it may take at most.
    #[must_use]
    pub fn within(mut self, longest: Duration) -> Self {
        self.within = longest;
        self
    }

    /// Says that nobody has to consume these events. The end of a saga isn't terminal by itself: if nobody hears that
    /// an order was confirmed, somebody must have meant that.
    #[must_use]
    pub fn terminal<E: EventSet>(mut self) -> Self {
        self.terminal.extend(E::refs());
        self
    }

    /// Declares that the emitters of these events leave nothing behind that an abort would have to undo: they only
    /// looked, or counted, or passed something on.
    #[must_use]
    pub fn without_undo<E: EventSet>(mut self) -> Self {
        self.without_undo.extend(E::refs());
        self
    }

    /// The outcomes that end it, completed or aborted.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &EventRef> {
        self.completes_with.iter().chain(&self.aborts_with)
    }
}
