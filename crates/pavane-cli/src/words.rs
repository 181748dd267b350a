//! Durations and counts as people say them.

use std::time::Duration;

use pavane_contract::Timestamp;

/// Milliseconds in words: two digits or so are enough to decide by.
pub(crate) fn millis(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} days", millis / 86_400_000),
    }
}

/// A [`Duration`] in words.
pub(crate) fn duration(duration: Duration) -> String {
    millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// From one moment to another, in milliseconds; negative when the other was earlier.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

/// How long ago something was, in words; a little later than now is now.
pub(crate) fn since(then: Timestamp, now: Timestamp) -> String {
    millis(u64::try_from(between(then, now)).unwrap_or(0))
}

/// A count and what is counted.
pub(crate) fn counted(count: impl Into<u64>, what: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn durations_are_short() {
        for (duration, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (47_900, "47 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(millis(duration), expected);
        }
    }
}
