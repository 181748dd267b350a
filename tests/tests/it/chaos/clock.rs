//! Clocks of processes that somebody sets.

use std::{fs, path::PathBuf, process::Command};

use pavane_contract::{Clock as _, SystemClock};

use super::preloaded::Preloaded;

/// What a process reads when it asks for the time of day. Its file is with the others'.
pub(super) struct Clock(PathBuf);

impl Clock {
    /// Off by so many seconds.
    pub(super) fn jump(&self, seconds: i64) {
        self.set(seconds, 0);
    }

    /// Faster by so many milliseconds each second.
    pub(super) fn drift(&self, millis: i64) {
        self.set(0, millis);
    }

    /// Right again.
    pub(super) fn correct(&self) {
        self.set(0, 0);
    }

    fn set(&self, seconds: i64, millis: i64) {
        // In one step: the process may look at any time.
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{seconds} {millis}")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

/// Makes them.
pub(super) struct Clocks(Preloaded);

impl Clocks {
    pub(super) fn new() -> Self {
        Self(Preloaded::compile("shifted_clock"))
    }

    /// A clock that is right so far, and the environment of the process that is to have it.
    pub(super) fn make(&self, name: &str) -> (Clock, [(&'static str, String); 2]) {
        let clock = Clock(self.0.file(name));
        clock.correct();
        let environment = self.0.environment("SHIFTED_CLOCK", &clock.0);
        (clock, environment)
    }
}

#[test]
fn a_process_reads_the_time_that_its_clock_says() {
    let clocks = Clocks::new();
    let (clock, environment) = clocks.make("date");
    for ahead in [0, 3_600, -3_600] {
        clock.jump(ahead);
        let date = Command::new("date").arg("+%s").envs(environment.clone()).output().expect("date starts");
        let read: i64 = String::from_utf8_lossy(&date.stdout).trim().parse().unwrap();
        let off = read - SystemClock.now().as_second();
        assert!((off - ahead).abs() < 60, "{off}, not {ahead}");
    }
}
