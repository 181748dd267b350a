use std::time::Duration;

/// How the relay works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most rows published in one turn. Default 2048; fewer when the rows are large. Three times as many are in memory while
    /// the relay is busy: those that are being published, those before them and those after them.
    pub batch_max: u16,
    /// How long sent rows are kept for a broker that loses what it acknowledged. Default 10 minutes; must be well over
    /// the broker's sync interval (2 minutes by default).
    pub durability_horizon: Duration,
    /// How long a relay that died keeps others from publishing. Default 5 s.
    pub lease: Duration,
    /// How often the broker is asked whether it still has what it acknowledged, when nothing makes it urgent. Default 30 s.
    pub verify_every: Duration,
    /// Longest pause between two looks at an empty outbox, and of a standby at the lease. A commit ends it at once, in this
    /// process or, as long as the bus carries the wake, in another instance. Default 500 ms.
    pub poll_max: Duration,
    /// How long the outcome of a saga is kept. Default 45 days; a saga must not live longer.
    pub outcome_retention: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_max: 2048,
            durability_horizon: Duration::from_mins(10),
            lease: Duration::from_secs(5),
            verify_every: Duration::from_secs(30),
            poll_max: Duration::from_millis(500),
            outcome_retention: Duration::from_hours(45 * 24),
        }
    }
}
