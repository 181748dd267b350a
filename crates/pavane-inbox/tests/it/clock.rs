use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pavane_contract::{Clock, SystemClock, Timestamp};

/// A clock that a test moves on.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ahead(Arc<AtomicI64>);

impl Ahead {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = self.0.load(Ordering::SeqCst);
        Timestamp::from_microsecond(SystemClock.now().as_microsecond() + ahead).unwrap()
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}
