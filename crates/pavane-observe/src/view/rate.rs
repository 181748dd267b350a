//! Rates, and numbers for names.

use std::collections::HashMap;

use super::saga::Micros;
use crate::rules::Kind;

/// For how many seconds events are counted by second.
const SECONDS: u8 = 60;
const SECOND: Micros = 1_000_000;

/// Names beyond this number share one.
const NAMES_MAX: usize = 10_000;

/// Counts by the second in which something was stored.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    pub(super) total: u64,
    last: i64,
    counts: [u32; SECONDS as usize],
}

impl Default for Rate {
    fn default() -> Self {
        Self { total: 0, last: 0, counts: [0; SECONDS as usize] }
    }
}

impl Rate {
    pub(super) fn count(&mut self, at: Micros) {
        self.total += 1;
        let second = at.div_euclid(SECOND);
        if second > self.last {
            for passed in (self.last + 1..=second).rev().take(usize::from(SECONDS)) {
                self.counts[slot(passed)] = 0;
            }
            self.last = second;
        }
        if self.last - second < i64::from(SECONDS) {
            self.counts[slot(second)] += 1;
        }
    }

    /// Per second, over the last `seconds` whole ones before `now`.
    pub(super) fn per_second(&self, now: Micros, seconds: u8) -> f64 {
        let end = now.div_euclid(SECOND);
        let within = |second: &i64| *second <= self.last && self.last - second < i64::from(SECONDS);
        let counted: u32 = (end - i64::from(seconds)..end).filter(within).map(|second| self.counts[slot(second)]).sum();
        f64::from(counted) / f64::from(seconds)
    }
}

fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(i64::from(SECONDS))).unwrap_or(0)
}

/// The rates of each kind of event, and of sagas' beginnings and ends.
#[derive(Debug, Default)]
pub(super) struct Rates {
    kinds: Vec<Rate>,
    pub(super) started: Rate,
    pub(super) ended: Rate,
}

impl Rates {
    pub(super) fn count(&mut self, kind: Kind, at: Micros) {
        let kind = usize::from(kind);
        if kind >= self.kinds.len() {
            self.kinds.resize_with(kind + 1, Rate::default);
        }
        self.kinds[kind].count(at);
    }

    pub(super) fn started(&mut self, at: Micros) {
        self.started.count(at);
    }

    pub(super) fn of(&self, kind: Kind) -> Option<&Rate> {
        self.kinds.get(usize::from(kind))
    }
}

/// Names by small numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: HashMap<String, u16>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name = if self.names.len() < NAMES_MAX { name } else { "too many names" };
        let number = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        let number = *self.numbers.entry(name.to_owned()).or_insert(number);
        if usize::from(number) == self.names.len() {
            self.names.push(name.to_owned());
        }
        number
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let mut rate = Rate::default();
        for second in 0..100 {
            for _ in 0..second % 7 {
                rate.count(second * SECOND + 5);
            }
        }
        let expected: u32 = (90..100).map(|second| second % 7).sum();
        assert!((rate.per_second(100 * SECOND, 10) * 10.0 - f64::from(expected)).abs() < 1e-9);
        assert!(rate.per_second(110 * SECOND, 10).abs() < 1e-9, "nothing since");
        rate.count(1000 * SECOND);
        rate.count(999 * SECOND);
        assert!((rate.per_second(1001 * SECOND, 2) - 1.0).abs() < 1e-9);
        rate.count(900 * SECOND);
        assert_eq!(rate.total, (0..100).map(|second| second % 7).sum::<u64>() + 3);
    }
}
