//! Idempotency keys as Stripe has them: the first answer given under a key is the answer, for ever (here: for 30 days).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest key, as at Stripe.
const KEY_MAX: usize = 255;

/// How long an answer is kept, in seconds: well past the last moment at which a client may still ask.
pub(crate) const RETENTION_SECONDS: i64 = 30 * 24 * 60 * 60;

/// A client's name for one request, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    /// Takes a header's value, unless it is empty or too long.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (1..=KEY_MAX).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The keys whose requests are being carried out now.
///
/// In memory, and rightly so: what they do and what they answer commit together, so a crash leaves neither.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<Key>>>);

/// The right to carry out a request under a key; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    key: Key,
    running: Running,
}

impl Running {
    /// Claims the key, unless a request under it is being carried out.
    pub(crate) fn claim(&self, key: &Key) -> Option<Claim> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_new.then(|| Claim { key: key.clone(), running: self.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_claimed_by_one_at_a_time() {
        let running = Running::default();
        let key = Key::new("k").unwrap();
        let claim = running.claim(&key);
        assert!(claim.is_some());
        assert!(running.claim(&key).is_none());
        drop(claim);
        assert!(running.claim(&key).is_some());
    }

    #[test]
    fn a_key_is_neither_empty_nor_endless() {
        assert_eq!(Key::new(""), None);
        assert!(Key::new(&"k".repeat(255)).is_some());
        assert_eq!(Key::new(&"k".repeat(256)), None);
    }
}
