//! NATS subjects: `events.<owner>.<fact>.<key>`.
//!
//! A service publishes only under `events.<owner>.>`, which is also its NATS permission. The key comes last, so that a
//! consumer can filter by event and a stream can be partitioned by key.

use crate::{EventRef, Key};

/// The first token of every event's subject.
pub const EVENTS: &str = "events";

/// The subject of one event about one key.
///
/// # Examples
///
/// ```
/// use pavane_contract::{EventRef, subject};
///
/// let event = EventRef { name: "payment.authorized".into(), version: 1 };
/// assert_eq!(subject::of(&event, &"order 7".into()), "events.payment.authorized.order=207");
/// ```
pub fn of(event: &EventRef, key: &Key) -> String {
    format!("{EVENTS}.{}.{}", event.name, encode(key))
}

/// Whether a subject is [that](of) of an event about a key. Allocates nothing: every event that arrives is asked.
pub fn is_of(subject: &str, event: &EventRef, key: &Key) -> bool {
    let own = || subject.strip_prefix(EVENTS)?.strip_prefix('.')?.strip_prefix(&event.name)?.strip_prefix('.');
    own().is_some_and(|token| match key.as_str() {
        // Most keys need no escape.
        plain if !plain.is_empty() && plain.bytes().all(is_plain) => token == plain,
        _ => token.bytes().eq(encoded(key)),
    })
}

/// Whether a byte of a key stands for itself in a subject.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The filter that matches one event about any key.
pub fn filter(event: &EventRef) -> String {
    format!("{EVENTS}.{}.*", event.name)
}

/// Whether `name` is `<owner>.<fact>`: two tokens of lower-case letters, digits, `-` and `_`.
pub fn is_event_name(name: &str) -> bool {
    let token =
        |token: &str| !token.is_empty() && token.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    matches!(name.split('.').collect::<Vec<_>>()[..], [owner, fact] if token(owner) && token(fact))
}

/// Turns any key into one safe token of a NATS subject.
///
/// Letters, digits, `-` and `_` stay; every other byte becomes `=` and two hexadecimal digits; the empty key becomes
/// `=`. Total and reversible: [`decode`] gives the key back.
pub fn encode(key: &Key) -> String {
    let mut token = String::with_capacity(key.as_str().len().max(1));
    token.extend(encoded(key).map(char::from));
    token
}

fn encoded(key: &Key) -> impl Iterator<Item = u8> + '_ {
    let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
    let escaped = move |byte: u8| {
        if is_plain(byte) {
            [Some(byte), None, None]
        } else {
            [Some(b'='), Some(digit(byte >> 4)), Some(digit(byte & 0xF))]
        }
    };
    let empty = key.as_str().is_empty().then_some(b'=');
    empty.into_iter().chain(key.as_str().bytes().flat_map(escaped).flatten())
}

/// Reverses [`encode`]. `None` for a token that `encode` never makes.
pub fn decode(token: &str) -> Option<Key> {
    if token == "=" {
        return Some("".into());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'=' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    let key = Key::from(String::from_utf8(bytes).ok()?);
    (encode(&key) == token).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_key_becomes_one_safe_token_and_comes_back(key in ".*") {
            let key = Key::from(key);
            let token = encode(&key);
            prop_assert!(!token.is_empty());
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)), "{token}");
            let event = EventRef { name: "payment.authorized".to_owned(), version: 1 };
            let subject = of(&event, &key);
            prop_assert!(is_of(&subject, &event, &key), "{subject}");
            let (longer, shorter) = (format!("{subject}0"), &subject[..subject.len() - 1]);
            prop_assert!(!is_of(&longer, &event, &key) && !is_of(shorter, &event, &key));
            prop_assert_eq!(decode(&token), Some(key));
        }

        #[test]
        fn decoding_never_panics_and_accepts_only_what_encode_makes(token in ".*") {
            if let Some(key) = decode(&token) {
                prop_assert_eq!(encode(&key), token);
            }
        }
    }

    #[test]
    fn another_owner_fact_or_key_has_another_subject() {
        let event = EventRef { name: "payment.refunded".to_owned(), version: 1 };
        for (subject, own) in [
            ("events.payment.refunded.7", true),
            ("events.shipping.refunded.7", false),
            ("events.payment.refunded.8", false),
            ("events.payment.refund.7", false),
            ("events.payment.refunded-7", false),
            ("events.payment.refunded", false),
            ("redrive.payment.refunded.7", false),
            ("eventspayment.refunded.7", false),
            ("", false),
        ] {
            assert_eq!(is_of(subject, &event, &"7".into()), own, "{subject}");
        }
    }

    #[test]
    fn an_event_name_is_two_lower_case_tokens() {
        for (name, good) in [
            ("payment.authorized", true),
            ("order.deadline-passed", true),
            ("payment", false),
            ("payment.a.b", false),
            ("Payment.authorized", false),
            ("payment.", false),
            ("payment.*", false),
            ("", false),
        ] {
            assert_eq!(is_event_name(name), good, "{name}");
        }
    }
}
