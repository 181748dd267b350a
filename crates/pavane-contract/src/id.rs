use std::{fmt, str::FromStr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant, Version};

use crate::Clock;

/// Builds a version 7 UUID (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits.
///
/// Ids made later sort later, so the indexes of inbox and outbox are append-only.
fn uuid_v7(clock: &dyn Clock) -> Uuid {
    let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
    let random = (u128::from(clock.random()) << 64) | u128::from(clock.random());
    let bits = (u128::from(millis) << 80) | (random >> 48);
    uuid::Builder::from_u128(bits).with_variant(Variant::RFC4122).with_version(Version::SortRand).into_uuid()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, from the clock's time and randomness.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(uuid_v7(clock))
            }

            /// The id as a UUID.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// Identifies one event for ever: the CloudEvents `id`, and the key of the inbox.
    EventId
}

id! {
    /// Identifies one saga: the correlation id that all its events share.
    SagaId
}

impl SagaId {
    /// When it was made; `None` if it is no UUID of version 7, which has no time.
    pub fn time(self) -> Option<Timestamp> {
        let millis = i64::try_from(self.0.as_u128() >> 80).ok()?;
        if self.0.get_version() == Some(Version::SortRand) { Timestamp::from_millisecond(millis).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    #[test]
    fn an_id_is_a_version_7_uuid_of_its_time() {
        let before = SystemClock.now().as_millisecond();
        let id = EventId::new(&SystemClock).as_uuid();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, Variant::RFC4122));
        let millis = i64::try_from(id.as_u128() >> 80).unwrap();
        assert!((before..=SystemClock.now().as_millisecond()).contains(&millis));
    }

    #[test]
    fn a_saga_tells_when_it_started_if_its_id_has_a_time() {
        let before = SystemClock.now();
        let started = SagaId::new(&SystemClock).time().unwrap();
        assert!((started.as_millisecond() - before.as_millisecond()).abs() < 1000, "{started}");
        assert_eq!("f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse::<SagaId>().unwrap().time(), None);
        assert_eq!(SagaId::from(Uuid::nil()).time(), None);
    }

    #[test]
    fn ids_survive_text() {
        let id = SagaId::new(&SystemClock);
        assert_eq!(id.to_string().parse::<SagaId>().unwrap(), id);
        assert_ne!(id, SagaId::new(&SystemClock));
    }
}
