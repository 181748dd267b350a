use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The only source of time and randomness in Pavane.
///
/// Whatever needs the time or a new id takes a clock, so that a simulation can replay a run from one seed. Waits use
/// `tokio::time`; the clock is for values that end up in rows and headers.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The current wall-clock time, in UTC.
    fn now(&self) -> Timestamp;

    /// How much time has passed since a moment of its own choice: what the difference of two [`now`](Self::now)s would be if nobody ever
    /// set the clock. A machine that is suspended may not count it. By default it is that difference.
    fn elapsed(&self) -> Duration {
        Duration::try_from(self.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    /// 64 uniformly random bits: for ids and for jitter, never for secrets.
    fn random(&self) -> u64;
}

/// The operating system's clock and the thread's random generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "as above")]
    fn elapsed(&self) -> Duration {
        static FROM: LazyLock<Instant> = LazyLock::new(Instant::now);
        FROM.elapsed()
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}
