//! Clocks: nothing is ordered by them, but people read the times, and timers fire by them.

use super::{
    Evidence,
    finding::{Check, Finding},
};
use crate::words;

/// Clocks that are kept by NTP differ by far less.
const SKEW_MAX_MS: i64 = 2_000;
/// How many delays are needed: the shortest of them is then no longer the relay's.
const ENOUGH: usize = 5;

pub(super) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    if let Some((server, ours)) = evidence.clocks {
        let ahead = words::between(ours, server);
        seen.push(format!("server and this machine differ by {}", words::millis(ahead.unsigned_abs())));
        if ahead.abs() > SKEW_MAX_MS {
            findings.push(skew("the server", "this machine", ahead));
        }
    }
    seen.push(format!("{} latest events looked at", evidence.tail.events));
    for (service, (shortest, count)) in &evidence.tail.delays {
        if *count >= ENOUGH && shortest.abs() > SKEW_MAX_MS {
            findings.push(skew(service, "the server", -shortest));
        }
    }
    Check { about: "clocks", seen: seen.join(", "), findings }
}

fn skew(who: &str, whom: &str, ahead_ms: i64) -> Finding {
    let by = words::millis(ahead_ms.unsigned_abs());
    let direction = if ahead_ms > 0 { "ahead of" } else { "behind" };
    Finding::risk(
        format!("the clock of {who} is {direction} that of {whom} by {by}, by what can be seen from here"),
        "deadlines come that much too early or too late, and times in logs and timelines can't be compared",
        "run a time service (NTP) on every machine",
    )
}
