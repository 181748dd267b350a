//! Dead letters: events that a reaction gave up on, kept with their cause until somebody decides.
//!
//! A dead letter is first a row, written in the transaction that gives up on the event. The [`Publisher`] publishes it from
//! there.

mod publisher;
pub(crate) mod store;

pub use pavane_bus::dead_letter::{Address, DEAD, REDRIVE, header, redrive};
use pavane_bus::{Delivery, Outgoing};
use pavane_contract::{Timestamp, codec::Headers};
use pavane_outbox::{Database, Db};
pub(crate) use publisher::fit;
pub use publisher::{Error, Progress, Publisher};

use crate::store::Attempts;

/// The header with the id that a message was published with.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Why a reaction gave up on an event.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    pub(crate) service: &'a str,
    pub(crate) reaction: &'a str,
    pub(crate) cause: &'a str,
    pub(crate) attempts: Attempts,
}

/// How many dead letters wait in a service's database to be published.
///
/// # Errors
///
/// When the database fails.
pub async fn waiting<DB: Database>(db: &Db<DB>) -> Result<i64, pavane_outbox::Error> {
    store::count(db).await
}

/// The dead letter as a message: the event's own headers and payload, and the cause.
pub(crate) fn outgoing(letter: &DeadLetter<'_>, delivery: &Delivery) -> Outgoing {
    let message = &delivery.message;
    let mut headers = own_headers(&message.headers);
    let time = |micros| Timestamp::from_microsecond(micros).unwrap_or_default().to_string();
    headers.push(header::SERVICE, letter.service.to_owned());
    headers.push(header::REACTION, letter.reaction.to_owned());
    headers.push(header::CAUSE, one_line(letter.cause));
    headers.push(header::ATTEMPTS, letter.attempts.count.to_string());
    headers.push(header::FIRST_FAILED_AT, time(letter.attempts.first_failed_at));
    headers.push(header::LAST_FAILED_AT, time(letter.attempts.last_failed_at));
    headers.push(header::SUBJECT, message.subject.clone());
    headers.push(header::SEQUENCE, delivery.sequence.to_string());
    // The letter of a refused redrive has the redrive's own subject, which is no event's, so its body never becomes an event.
    let subject = short(&message.subject);
    Outgoing {
        subject: storable(&format!("{DEAD}.{}.{}.{subject}", letter.service, letter.reaction)),
        headers,
        payload: message.payload.clone(),
        message_id: format!("{DEAD}-{}-{}-{}", letter.service, letter.reaction, identity(delivery)),
    }
}

/// The headers of the event itself. Those that the server or an earlier dead letter added are not true of a new message.
pub(crate) fn own_headers(headers: &Headers) -> Headers {
    let own = headers.iter().filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !name.starts_with("nats-") && !name.starts_with("pavane-dead-")
    });
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A subject, cut so that the dead letter's longer one fits into a line of the protocol. The whole one is in the headers.
fn short(subject: &str) -> &str {
    const BYTES: usize = 3000;
    let mut end = subject.len().min(BYTES);
    while !subject.is_char_boundary(end) {
        end -= 1;
    }
    subject[..end].trim_end_matches('.')
}

/// A text that every database can store.
fn storable(text: &str) -> String {
    text.replace('\0', "?")
}

/// What identifies a message, as text that a database can store: its message id. Not the event's id, because an event that dies
/// again after a redrive is another dead letter. Not the sequence, because a broker that lost its newest messages gives their
/// sequences to others, whose dead letters would be taken for duplicates.
pub(crate) fn identity(delivery: &Delivery) -> String {
    let message_id = delivery.message.headers.get(MESSAGE_ID);
    message_id.map_or_else(|| delivery.sequence.to_string(), storable)
}

/// A header value has no line breaks, and a cause of a megabyte helps nobody.
fn one_line(cause: &str) -> String {
    const CHARS: usize = 2000;
    cause.chars().map(|char| if char.is_control() { ' ' } else { char }).take(CHARS).collect()
}
