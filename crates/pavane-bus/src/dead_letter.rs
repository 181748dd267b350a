//! The wire format of dead letters and redrives, for the inbox and operators' tools.

use pavane_contract::codec::Headers;

use crate::{Message, Outgoing};

/// The first token of a dead letter's subject: `dead.<service>.<reaction>.<original subject>`.
pub const DEAD: &str = "dead";
/// The first token of a redrive's subject: `redrive.<service>.<reaction>.<original subject>`.
pub const REDRIVE: &str = "redrive";

/// The headers of a dead letter beside the event's own, and the header of a redrive.
pub mod header {
    /// The service that gave up.
    pub const SERVICE: &str = "pavane-dead-service";
    /// The reaction that gave up.
    pub const REACTION: &str = "pavane-dead-reaction";
    /// Why, as one line.
    pub const CAUSE: &str = "pavane-dead-cause";
    /// How often the handler failed.
    pub const ATTEMPTS: &str = "pavane-dead-attempts";
    /// When it failed first, RFC 3339.
    pub const FIRST_FAILED_AT: &str = "pavane-dead-first-failed-at";
    /// When it failed last, RFC 3339.
    pub const LAST_FAILED_AT: &str = "pavane-dead-last-failed-at";
    /// The subject that the event came on.
    pub const SUBJECT: &str = "pavane-dead-subject";
    /// The event's sequence in the events stream.
    pub const SEQUENCE: &str = "pavane-dead-sequence";
    /// How many bytes the event's body had, where the dead letter would not have fitted into a message with it. The body is
    /// in the events stream at [`SEQUENCE`], and in the service's table `pavane_dead_letter`.
    pub const CUT: &str = "pavane-dead-cut";
    /// Of a redrive: the sequence of the dead letter in its stream.
    pub const LETTER: &str = "pavane-redrive-letter";
}

/// Service, reaction and event subject of a dead letter or a redrive, from its own subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Address<'s> {
    /// The service.
    pub service: &'s str,
    /// Its reaction.
    pub reaction: &'s str,
    /// The subject that the event came on.
    pub subject: &'s str,
}

impl<'s> Address<'s> {
    /// The address of a dead letter. Only its service's user may publish under this subject, so it can be trusted, unlike the
    /// letter's headers. `None` for another subject.
    pub fn of_letter(subject: &'s str) -> Option<Self> {
        Self::behind(DEAD, subject)
    }

    /// The address of a redrive. `None` for another subject.
    pub fn of_redrive(subject: &'s str) -> Option<Self> {
        Self::behind(REDRIVE, subject)
    }

    fn behind(first: &str, subject: &'s str) -> Option<Self> {
        let mut parts = subject.strip_prefix(first)?.strip_prefix('.')?.splitn(3, '.');
        Some(Self { service: parts.next()?, reaction: parts.next()?, subject: parts.next()? })
    }
}

/// Whether a message is a redrive, or claims to be.
pub fn is_redrive(message: &Message) -> bool {
    message.subject.split('.').next() == Some(REDRIVE)
}

/// The message that delivers a stored dead letter to its reaction again. It only names the letter: the reaction fetches it, and
/// handles what is stored.
///
/// `message_id` must be a new one, never the event's: within the duplicate window the server would take the message for the
/// event.
pub fn redrive(letter: Address<'_>, sequence: u64, message_id: String) -> Outgoing {
    let Address { service, reaction, subject } = letter;
    Outgoing {
        subject: format!("{REDRIVE}.{service}.{reaction}.{subject}"),
        headers: Headers::from_iter([(header::LETTER, sequence.to_string())]),
        payload: bytes::Bytes::new(),
        message_id,
    }
}

/// The sequence of the dead letter that a redrive names.
///
/// # Errors
///
/// What is wrong with a message that isn't as [`redrive`] makes it. Headers and a body of its own are refused: they would come from
/// the redriver, not from the event's owner.
pub fn letter_of(message: &Message) -> Result<u64, String> {
    let named = message.headers.get(header::LETTER);
    let says = message.headers.iter().map(|(name, _)| name).find(|name| name.starts_with("ce-"));
    match (named, says, message.payload.len()) {
        (None, None, 0) => Err(format!("it names no dead letter: its header {} is missing", header::LETTER)),
        (_, Some(says), _) => Err(format!("it has a header {says} of its own: a redrive only names a dead letter")),
        (_, None, bytes @ 1..) => {
            Err(format!("it has a body of its own, of {bytes} bytes: a redrive only names a dead letter"))
        }
        (Some(named), None, 0) => {
            let sequence = named.parse().ok().filter(|sequence| *sequence > 0);
            sequence.ok_or_else(|| format!("its header {} is {named:?}, which is no sequence", header::LETTER))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said<'h> = &'h [(&'static str, &'h str)];

    #[test]
    fn an_address_is_read_from_the_subject_alone() {
        let address = Address { service: "bank", reaction: "pay", subject: "events.order.placed.7" };
        let redrive = redrive(address, 3, "x".to_owned());
        assert_eq!(redrive.subject, "redrive.bank.pay.events.order.placed.7");
        assert_eq!(Address::of_redrive(&redrive.subject), Some(address));
        assert_eq!(Address::of_letter("dead.bank.pay.events.order.placed.7"), Some(address));
        for subject in ["dead.bank.pay", "redrive.bank.pay.x", "deadbank.pay.x", "events.order.placed.7", "dead", ""] {
            assert_eq!(Address::of_letter(subject), None, "{subject}");
        }
    }

    #[test]
    fn a_redrive_names_a_letter_and_says_nothing_else() {
        let message = |headers: Said<'_>, payload: &'static str| {
            let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            Message { subject: "redrive.bank.pay.x".to_owned(), headers, payload: payload.into() }
        };
        let named = (header::LETTER, "7");
        assert_eq!(letter_of(&message(&[named], "")), Ok(7));
        // As a server keeps it.
        assert_eq!(letter_of(&message(&[named, ("Nats-Msg-Id", "x")], "")), Ok(7));
        let wrong: [(Said<'_>, &str, &str); 7] = [
            (&[], "", "is missing"),
            (&[], "{}", "a body of its own"),
            (&[named], "{}", "a body of its own"),
            (&[named, ("ce-id", "x")], "", "a header ce-id of its own"),
            (&[("ce-id", "x")], "{}", "a header ce-id of its own"),
            (&[(header::LETTER, "0")], "", "is \"0\""),
            (&[(header::LETTER, "-7 ")], "", "is \"-7 \""),
        ];
        for (headers, payload, why) in wrong {
            let refused = letter_of(&message(headers, payload)).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
