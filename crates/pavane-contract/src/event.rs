use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Key, personal::EventFields};

/// An immutable fact about a service, in the past tense.
///
/// Name and version are wire format: they are written out, never derived from the type's name, so the type can be renamed.
///
/// # Examples
///
/// The derive writes the implementation for a struct with a field that is its key.
///
/// ```
/// use pavane_contract::Event;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
/// #[event(name = "payment.authorized", version = 1, key = order_id)]
/// struct PaymentAuthorized {
///     order_id: String,
///     amount_cents: u64,
/// }
/// ```
///
/// Other types implement it by hand.
///
/// ```
/// use pavane_contract::{Event, Key};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
/// struct SeatTaken {
///     row: u8,
///     seat: char,
/// }
///
/// impl Event for SeatTaken {
///     const NAME: &'static str = "seat.taken";
///     const VERSION: u16 = 1;
///
///     fn key(&self) -> Key {
///         format!("{}{}", self.row, self.seat).into()
///     }
/// }
/// ```
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Clone + fmt::Debug + Send + Sync + 'static {
    /// `<owner>.<fact>`: the service that owns the contract and publishes the event, and what happened.
    const NAME: &'static str;

    /// Counts breaking changes of the body. Additive changes keep it.
    const VERSION: u16;

    /// What the event is about.
    fn key(&self) -> Key;
}

/// An event's name and version, as data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// [`Event::NAME`].
    pub name: String,
    /// [`Event::VERSION`].
    pub version: u16,
}

impl EventRef {
    /// The name and version of `E`.
    pub fn of<E: Event>() -> Self {
        Self { name: E::NAME.to_owned(), version: E::VERSION }
    }

    /// Whether it is that of `E`.
    pub fn is<E: Event>(&self) -> bool {
        self.name == E::NAME && self.version == E::VERSION
    }

    /// The service that owns the event: the part of the name before the dot.
    pub fn owner(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

/// One event type, or a tuple of up to eight: used to declare what a reaction emits or waits for.
pub trait EventSet {
    /// The members, in the order in which they are written.
    fn refs() -> Vec<EventRef>;

    /// Their fields, in the same order.
    fn fields() -> Vec<EventFields>;
}

impl<E: Event> EventSet for E {
    fn refs() -> Vec<EventRef> {
        vec![EventRef::of::<E>()]
    }

    fn fields() -> Vec<EventFields> {
        vec![EventFields::of::<E>()]
    }
}

macro_rules! event_set {
    ($($name:ident)+) => {
        impl<$($name: Event),+> EventSet for ($($name,)+) {
            fn refs() -> Vec<EventRef> {
                vec![$(EventRef::of::<$name>()),+]
            }

            fn fields() -> Vec<EventFields> {
                vec![$(EventFields::of::<$name>()),+]
            }
        }
    };
}

event_set!(A);
event_set!(A B);
event_set!(A B C);
event_set!(A B C D);
event_set!(A B C D E);
event_set!(A B C D E F);
event_set!(A B C D E F G);
event_set!(A B C D E F G H);
