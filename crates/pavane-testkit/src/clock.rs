use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane::contract::{Clock, Timestamp};

use crate::random::Random;

/// A clock that stands still until it is moved, and whose randomness is its seed's. Clones share both.
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<State>);

#[derive(Debug)]
struct State {
    micros: AtomicI64,
    random: Mutex<Random>,
}

impl VirtualClock {
    /// When every virtual clock begins: 2026-01-01T00:00:00Z, in microseconds since the Unix epoch.
    const BEGINNING: i64 = 1_767_225_600_000_000;

    /// A clock at its beginning.
    pub fn new(seed: u64) -> Self {
        let random = Mutex::new(Random::new(seed));
        Self(Arc::new(State { micros: AtomicI64::new(Self::BEGINNING), random }))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Moves the clock to a time; does nothing when that has passed.
    pub fn advance_to(&self, time: Timestamp) {
        // A time is stored in whole microseconds: rounded down, what is due then wouldn't be due yet.
        let micros = time.as_nanosecond().div_euclid(1000) + i128::from(time.as_nanosecond().rem_euclid(1000) > 0);
        self.0.micros.fetch_max(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// How long it has been moved since its beginning.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros((self.0.micros.load(Ordering::SeqCst) - Self::BEGINNING).unsigned_abs())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn random(&self) -> u64 {
        self.0.random.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}
