use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an event is about: an order, an account, a SKU.
///
/// Events with the same key are handled in order within one process. Any string is a key; [`subject`](crate::subject)
/// turns it into one safe NATS token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The longest key that can be published, in bytes: its encoded form must fit in a NATS subject.
    pub const MAX_BYTES: usize = 256;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl From<Uuid> for Key {
    fn from(key: Uuid) -> Self {
        Self(key.to_string())
    }
}

/// In decimal.
macro_rules! from_whole_numbers {
    ($($number:ty)+) => {
        $(impl From<$number> for Key {
            fn from(key: $number) -> Self {
                Self(key.to_string())
            }
        })+
    };
}

from_whole_numbers!(i16 i32 i64 u16 u32 u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
