//! Wrong tokens, counted by address: one that sent too many has to wait.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Wrong tokens from one address before it has to wait.
const WRONG_MAX: u32 = 10;
/// Seconds until they are dropped.
const WINDOW: i64 = 60;
/// The most addresses in memory. Above that, the one that failed first is dropped.
const ADDRESSES_MAX: usize = 1024;

/// Wrong tokens, by address.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<IpAddr, Wrong>>);

#[derive(Debug, Clone, Copy)]
struct Wrong {
    since: i64,
    count: u32,
}

impl Attempts {
    /// How many seconds an address has to wait before it may show a token again; `None` when it need not.
    pub(crate) fn barred(&self, address: IpAddr, now: i64) -> Option<i64> {
        let Wrong { since, count } = *self.lock().get(&address)?;
        let left = since + WINDOW - now;
        (count >= WRONG_MAX && left > 0).then_some(left)
    }

    /// Counts a wrong token from an address.
    pub(crate) fn failed(&self, address: IpAddr, now: i64) {
        let mut all = self.lock();
        all.retain(|_, wrong| now - wrong.since < WINDOW);
        if all.len() >= ADDRESSES_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, wrong)| wrong.since).map(|(address, _)| *address)
        {
            all.remove(&oldest);
        }
        all.entry(address).or_insert(Wrong { since: now, count: 0 }).count += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number))
    }

    #[test]
    fn an_address_that_guesses_waits_and_no_other_does() {
        let attempts = Attempts::default();
        for _ in 0..WRONG_MAX {
            assert_eq!(attempts.barred(address(1), 100), None);
            attempts.failed(address(1), 100);
        }
        assert_eq!(attempts.barred(address(1), 130), Some(30));
        assert_eq!(attempts.barred(address(2), 130), None);
        assert_eq!(attempts.barred(address(1), 160), None);
        attempts.failed(address(1), 160);
        assert_eq!(attempts.barred(address(1), 160), None, "it begins anew");
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let attempts = Attempts::default();
        for number in 0..3000 {
            attempts.failed(address(number), 100);
        }
        assert_eq!(attempts.lock().len(), ADDRESSES_MAX);
    }
}
