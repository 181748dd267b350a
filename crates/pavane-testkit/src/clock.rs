use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane::Timestamp;
use pavane_contract::Clock;

use crate::random::Random;

/// A clock that stands still until it is moved, and whose randomness is its seed's. Clones share both.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    state: Arc<State>,
    /// How many microseconds it is ahead.
    ahead: i64,
}

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
        Self { state: Arc::new(State { micros: AtomicI64::new(Self::BEGINNING), random }), ahead: 0 }
    }

    /// The same clock with an offset, as a process with a wrong clock reads it.
    #[must_use]
    pub fn ahead(&self, by: Duration) -> Self {
        Self { state: Arc::clone(&self.state), ahead: self.ahead.saturating_add(micros(by)) }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.state.micros.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Moves the clock to a time; does nothing when that has passed.
    pub fn advance_to(&self, time: Timestamp) {
        // A time is stored in whole microseconds: rounded down, what is due then wouldn't be due yet.
        let micros = time.as_nanosecond().div_euclid(1000) + i128::from(time.as_nanosecond().rem_euclid(1000) > 0);
        let micros = i64::try_from(micros).unwrap_or(i64::MAX).saturating_sub(self.ahead);
        self.state.micros.fetch_max(micros, Ordering::SeqCst);
    }

    /// How long it has been moved since its beginning.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros((self.state.micros.load(Ordering::SeqCst) - Self::BEGINNING).unsigned_abs())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let micros = self.state.micros.load(Ordering::SeqCst).saturating_add(self.ahead);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    fn random(&self) -> u64 {
        self.state.random.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
