use std::time::Duration;

/// How the relay works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most rows published in one turn. Default 2048; fewer when the rows are large. While the relay is busy, three batches are
    /// in memory: the one that is being published, the one before and the one after.
    pub batch_max: u16,
    /// How long sent rows are kept, in case the broker loses what it acknowledged. Default 10 minutes. It must be well over
    /// the broker's sync interval (2 minutes by default).
    pub durability_horizon: Duration,
    /// How long others wait for a relay that died. Default 5 s.
    pub lease: Duration,
    /// How often the relay checks whether the broker still has what it acknowledged. It also checks after each reconnection.
    /// Default 30 s.
    pub verify_every: Duration,
    /// Longest pause between two reads of an empty outbox, and between two tries of a standby to take the lease. A commit in
    /// this process ends the pause at once, and one in another instance does if the bus carries the wake. Default 500 ms.
    pub poll_max: Duration,
    /// How long the outcome of a saga is kept, and its questions. Default 45 days; no saga may take longer.
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
