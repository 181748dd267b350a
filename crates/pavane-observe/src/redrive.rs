//! Redrives dead letters, and discards them.
//!
//! A redrive is a message on `redrive.<service>.<reaction>.<subject of the event>`, which only that reaction receives. It names the
//! stored letter and has no body: the reaction fetches the letter and handles what is stored, so that the permission to redrive
//! is not one to publish events. The event keeps its id, and the reaction's inbox knows the events that it has handled, so an
//! effect never runs twice. Each letter is examined before: that spares useless redrives, and shows what each will do. Who
//! redrives, and why, is stored before anything is published.

mod run;

use std::{collections::BTreeMap, fmt};

use pavane_bus::{
    JetStream,
    dead_letter::{Address, header},
    topology::DEAD_LETTERS,
};
use pavane_contract::{Clock, codec};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    audit::{self, Because},
    report::{Action, DeadLetter, Decision},
};

pub use run::{Options, Progress, run};

/// The letters to redrive, each with what was found out about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Plan {
    /// The letters, the oldest first.
    pub letters: Vec<Preflight>,
}

/// A dead letter, checked before a redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Preflight {
    /// The letter.
    pub letter: DeadLetter,
    /// What speaks against it.
    pub concerns: Vec<Concern>,
    /// Whether it would be redriven.
    pub go: bool,
}

/// A reason against a redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "concern", content = "what")]
#[non_exhaustive]
pub enum Concern {
    /// The letter isn't there any more.
    Gone,
    /// The event can't be read.
    Unreadable(String),
    /// The reaction doesn't run on this event, or on this version of it.
    NotForIt(String),
    /// No service declares the reaction, or its consumer doesn't get redrives.
    NobodyListens(String),
    /// It was decided about before.
    Decided(String),
    /// The reaction's answer to this event exists already.
    AlreadyApplied(String),
    /// When the reaction gave up, it emitted its failure event and counted the event as handled.
    SagaWasTold(String),
    /// It is so old that the service may have deleted whether it handled the event.
    MayBeForgotten(String),
    /// The step's undo was triggered, so the step is barred or undone.
    Barred(String),
    /// The saga has ended.
    SagaEnded(String),
}

impl Concern {
    /// Whether the letter is redriven only if the operator insists. The other concerns only say what to expect.
    pub const fn blocks(&self) -> bool {
        !matches!(self, Self::SagaEnded(_))
    }

    /// Whether the letter is not redriven even then.
    pub const fn forbids(&self) -> bool {
        matches!(self, Self::Gone | Self::Unreadable(_) | Self::NobodyListens(_) | Self::MayBeForgotten(_))
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the dead letter is not there any more"),
            Self::Unreadable(why) => write!(f, "the event can't be read: {why}"),
            Self::NotForIt(what)
            | Self::NobodyListens(what)
            | Self::Decided(what)
            | Self::AlreadyApplied(what)
            | Self::SagaWasTold(what)
            | Self::MayBeForgotten(what)
            | Self::Barred(what)
            | Self::SagaEnded(what) => f.write_str(what),
        }
    }
}

impl Plan {
    /// How many letters would be redriven.
    pub fn go(&self) -> usize {
        self.letters.iter().filter(|letter| letter.go).count()
    }

    /// The kinds of concerns and how many letters have each.
    pub fn concerns(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for concern in self.letters.iter().flat_map(|letter| &letter.concerns) {
            *counts.entry(concern.to_string()).or_default() += 1;
        }
        counts
    }

    /// Checks the letters themselves: whether each is still there and its body can be read. [`View::plan`](crate::View::plan)
    /// has checked the rest.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    pub async fn look_at_bodies(&mut self, bus: &JetStream) -> Result<(), Error> {
        for preflight in &mut self.letters {
            let concern = match bus.stored(DEAD_LETTERS, preflight.letter.sequence).await? {
                None => Some(Concern::Gone),
                Some(stored) => unreadable(&stored.message),
            };
            preflight.concerns.extend(concern);
            preflight.decide(false);
        }
        Ok(())
    }

    /// Also redrives letters with concerns, except where that can't work.
    pub fn insist(&mut self) {
        for preflight in &mut self.letters {
            preflight.decide(true);
        }
    }
}

impl Preflight {
    pub(crate) fn new(letter: DeadLetter, concerns: Vec<Concern>) -> Self {
        let mut preflight = Self { letter, concerns, go: false };
        preflight.decide(false);
        preflight
    }

    fn decide(&mut self, insist: bool) {
        let hinders = |concern: &Concern| if insist { concern.forbids() } else { concern.blocks() };
        self.go = !self.concerns.iter().any(hinders);
    }
}

/// Why an event can't be read, if it can't: headers and envelope must be valid, the subject must be the event's own, and the
/// body must be JSON. Whether the body fits the contract is for the service to check.
fn unreadable(message: &pavane_bus::Message) -> Option<Concern> {
    if let Some(bytes) = message.headers.get(header::CUT) {
        let why = format!(
            "its body of {bytes} bytes did not fit into the letter; it is in the events stream and in the service's table"
        );
        return Some(Concern::Unreadable(why));
    }
    let subject = Address::of_letter(&message.subject).map_or("", |it| it.subject);
    let body = match codec::decode_on(subject, &message.headers, message.payload.clone(), usize::MAX) {
        Ok(event) => event.body,
        Err(error) => return Some(Concern::Unreadable(error.to_string())),
    };
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body);
    json.err().map(|error| Concern::Unreadable(format!("the body is not JSON: {error}")))
}

/// Discards a dead letter: records who decided so and why, and deletes it.
///
/// # Errors
///
/// When the decision can't be stored, or the letter can't be deleted; it is then still there.
pub async fn discard(
    bus: &JetStream,
    clock: &dyn Clock,
    letter: &DeadLetter,
    because: &Because,
) -> Result<Decision, Error> {
    if bus.stored(DEAD_LETTERS, letter.sequence).await?.is_none() {
        return Err(Error::NoDeadLetter(letter.sequence));
    }
    let decision = audit::about(clock, Action::Discard, letter, because);
    audit::keep(bus, &decision).await?;
    bus.delete_stored(DEAD_LETTERS, letter.sequence).await?;
    Ok(decision)
}
