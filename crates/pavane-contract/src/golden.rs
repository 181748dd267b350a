//! Golden files: what an event looks like on the wire, committed beside its contract.
//!
//! A golden file has one example of an event and the schema of its body. Other teams, and other languages, build against it. And
//! it keeps yesterday's contract, so that a test can compare it with today's.
//!
//! # Examples
//!
//! The test that a crate of contracts needs. Run it with `UPDATE_GOLDEN=1` to accept an additive change. A breaking change fails
//! either way, and the error says which side can't read what.
//!
//! ```no_run
//! use pavane_contract::{Event, golden};
//!
//! fn assert_golden<E: Event + PartialEq>(example: &E) {
//!     let file = format!("{}/golden/{}", env!("CARGO_MANIFEST_DIR"), golden::file_name::<E>());
//!     let committed = std::fs::read_to_string(&file).ok();
//!     let text = golden::check(example, committed.as_deref()).unwrap_or_else(|error| panic!("{file}: {error}"));
//!     if std::env::var_os("UPDATE_GOLDEN").is_some() {
//!         std::fs::write(&file, &text).unwrap();
//!     } else {
//!         assert_eq!(committed.as_ref(), Some(&text), "{file} is stale: accept the change with UPDATE_GOLDEN=1");
//!     }
//! }
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Event, EventRef,
    schema::{self, Break, Direction},
    subject,
};

/// The content of a golden file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Golden {
    /// The event's name and version.
    #[serde(flatten)]
    pub event: EventRef,
    /// The example's subject.
    pub subject: String,
    /// The example's body.
    pub example: Value,
    /// The body's JSON Schema, draft 2020-12.
    pub schema: Value,
}

/// Describes an event type by an example. The example must survive a round trip through JSON.
///
/// # Errors
///
/// When the example can't be written as JSON, or comes back changed.
pub fn golden<E: Event + PartialEq>(example: &E) -> Result<Golden, Error> {
    let body = serde_json::to_value(example).map_err(Error::Example)?;
    let back: E = serde_json::from_value(body.clone()).map_err(Error::Example)?;
    if back != *example {
        return Err(Error::RoundTrip(EventRef::of::<E>()));
    }
    Ok(Golden {
        event: EventRef::of::<E>(),
        subject: subject::of(&EventRef::of::<E>(), &example.key()),
        example: body,
        schema: schema::of::<E>(),
    })
}

/// The name of an event's golden file: `payment.authorized.v1.json`.
pub fn file_name<E: Event>() -> String {
    format!("{}.v{}.json", E::NAME, E::VERSION)
}

/// Checks an event against its golden file, and returns the text that the file should have now.
///
/// `committed` is the text that it has, or `None` for a new event. The returned text is the same if nothing changed, and another
/// if the contract grew additively, or the example changed.
///
/// # Errors
///
/// When the example can't be a golden one (see [`golden()`]), the file is another event's, or the contract changed in a breaking
/// way: by its schema, because the committed example can't be read any more, or because its subject changed.
pub fn check<E: Event + PartialEq>(example: &E, committed: Option<&str>) -> Result<String, Error> {
    let new = golden(example)?;
    if let Some(text) = committed {
        let old: Golden = serde_json::from_str(text).map_err(Error::Committed)?;
        if old == new {
            return Ok(text.to_owned());
        }
        if old.event != new.event {
            return Err(Error::OtherEvent { wanted: new.event, found: old.event });
        }
        let breaks = breaks::<E>(&old, &new);
        if !breaks.is_empty() {
            return Err(Error::Breaking { event: new.event, breaks });
        }
    }
    let text = serde_json::to_string_pretty(&new).map_err(Error::Example)?;
    Ok(text + "\n")
}

/// Breaks that the schemas show, and those that only the type shows: hand-written serde code, and the key.
fn breaks<E: Event>(old: &Golden, new: &Golden) -> Vec<Break> {
    let mut breaks = schema::breaks(&old.schema, &new.schema);
    let whole = |what| Break { direction: Direction::NewReader, path: "$".to_owned(), what };
    match serde_json::from_value::<E>(old.example.clone()) {
        Ok(example) => {
            let subject = subject::of(&old.event, &example.key());
            if subject != old.subject {
                breaks.push(whole(format!("the committed example now travels under {subject}, not {}", old.subject)));
            }
        }
        Err(error) if breaks.is_empty() => breaks.push(whole(format!("the committed example is refused: {error}"))),
        Err(_) => {}
    }
    breaks
}

/// Why an event doesn't fit its golden file. Each reads after "failed to check the golden file: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The example can't be written as JSON, or its type can't read that JSON.
    #[error("the example does not fit its own contract: {0}")]
    Example(serde_json::Error),
    /// The example doesn't survive a round trip through JSON.
    #[error("the example of {0} comes back changed from JSON")]
    RoundTrip(EventRef),
    /// The committed file isn't a golden file.
    #[error("what is committed is not a golden file: {0}")]
    Committed(serde_json::Error),
    /// It is the file of another event, or of another version.
    #[error("expected the golden file of {wanted}, found that of {found}")]
    OtherEvent {
        /// The event that is checked.
        wanted: EventRef,
        /// The event of the file.
        found: EventRef,
    },
    /// The contract changed in a way that a reader can't read.
    #[error("{event} changed in a way that breaks its readers; revert it, or raise its version:{}", Lines(breaks))]
    Breaking {
        /// The event.
        event: EventRef,
        /// Which reader can't read what.
        breaks: Vec<Break>,
    },
}

struct Lines<'a>(&'a [Break]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|found| write!(f, "\n  {found}"))
    }
}

#[cfg(test)]
mod tests;
