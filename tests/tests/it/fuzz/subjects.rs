//! Subjects, and the keys in them.

use pavane::Key;
use pavane_contract::{EventRef, subject};
use proptest::prelude::*;

use super::fuzz;

#[test]
fn subjects_and_keys() {
    fuzz("subjects", |input| {
        let text = String::from_utf8_lossy(input);
        let event = EventRef { name: "payment.authorized".to_owned(), version: 1 };

        // Any text is a key.
        let key = Key::from(&*text);
        let token = subject::encode(&key);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
        prop_assert!(!token.is_empty() && token.bytes().all(is_safe), "{token}");
        prop_assert_eq!(subject::decode(&token), Some(key.clone()));
        let whole = subject::of(&event, &key);
        prop_assert!(subject::is_of(&whole, &event, &key), "{whole}");
        prop_assert_eq!(whole.split('.').count(), 4);

        // Any text may come as a token, or as a subject.
        if let Some(key) = subject::decode(&text) {
            prop_assert_eq!(subject::encode(&key), &*text);
        }
        let mut tokens = text.splitn(4, '.').skip(1);
        if let (Some(owner), Some(fact), Some(token)) = (tokens.next(), tokens.next(), tokens.next()) {
            let event = EventRef { name: format!("{owner}.{fact}"), version: 1 };
            let Some(key) = subject::decode(token) else { return Ok(()) };
            let is_its_own = text.starts_with("events.");
            prop_assert_eq!(subject::is_of(&text, &event, &key), is_its_own);
            prop_assert_eq!(subject::of(&event, &key) == text, is_its_own);
        }
        Ok(())
    });
}
