//! A delivery, and the event in it.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use pavane_bus::{
    Delivery,
    dead_letter::{Address, is_redrive},
};
use pavane_contract::{Key, RawEnvelope, codec, subject};

/// Events with the same lane are handled in order. A hash of the key; if two keys share one, one of them waits.
pub(crate) type Lane = u64;

/// A delivery whose headers were read.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) delivery: Delivery,
    pub(crate) event: Result<RawEnvelope, Unusable>,
    pub(crate) lane: Lane,
    /// Whether it is a redrive.
    pub(super) is_redriven: bool,
    /// Whether it comes from the database, where it [waited](crate::waiting).
    pub(crate) is_local: bool,
}

/// Why there is no event to handle.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It can't be decoded, or has another owner's subject.
    Unreadable(codec::Error),
    /// A redrive that names no dead letter of this reaction.
    Refused(String),
    /// A redrive whose dead letter was not [fetched](super::redrive) yet.
    NotFetched,
}

impl Arrived {
    pub(crate) fn read(delivery: Delivery, payload_max: usize) -> Self {
        let message = &delivery.message;
        let is_redriven = is_redrive(message);
        let event = if is_redriven {
            Err(Unusable::NotFetched)
        } else {
            codec::decode_on(&message.subject, &message.headers, message.payload.clone(), payload_max)
                .map_err(Unusable::Unreadable)
        };
        let mut hasher = DefaultHasher::new();
        match &event {
            Ok(event) => event.meta.key.as_str().hash(&mut hasher),
            // A redrive counts only where its subject and the letter's agree, so this is the event's key.
            Err(_) => match Address::of_redrive(&message.subject).and_then(|it| key_of(it.subject)) {
                Some(key) => key.as_str().hash(&mut hasher),
                None => message.subject.hash(&mut hasher),
            },
        }
        Self { event, lane: hasher.finish(), is_redriven, is_local: false, delivery }
    }

    /// The event's key, as far as it is known.
    pub(crate) fn key(&self) -> &str {
        match &self.event {
            Ok(event) => event.meta.key.as_str(),
            Err(_) => &self.delivery.message.subject,
        }
    }
}

fn key_of(subject: &str) -> Option<Key> {
    subject::decode(subject.rsplit('.').next()?)
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "failed to decode the event: {error}"),
            Self::Refused(why) => write!(f, "the redrive is refused: {why}"),
            Self::NotFetched => f.write_str("the dead letter was not fetched"),
        }
    }
}
