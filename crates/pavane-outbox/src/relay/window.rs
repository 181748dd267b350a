//! How many rows the relay reads at once.

use super::store::Unsent;

/// How many rows fit into a limited amount of memory, estimated from the rows read before.
#[derive(Debug)]
pub(super) struct Window {
    rows: i64,
    most: i64,
    /// Whether the last read returned as many rows as it asked for: there may be more.
    pub(super) was_filled: bool,
}

impl Window {
    pub(super) fn new(batch_max: u16) -> Self {
        Self { rows: i64::from(batch_max.clamp(1, 64)), most: i64::from(batch_max), was_filled: false }
    }

    pub(super) const fn rows(&self) -> i64 {
        self.rows
    }

    /// Measures rows that were read. The next read may ask for twice as many, if they fit.
    pub(super) fn measure(&mut self, read: &[Unsent]) {
        const BYTES_MAX: usize = 8 << 20;
        self.was_filled = i64::try_from(read.len()).is_ok_and(|read| read >= self.rows);
        let bytes: usize = read.iter().map(|row| row.message.payload.len()).sum();
        let fitting = i64::try_from(BYTES_MAX / (bytes / read.len().max(1) + 1)).unwrap_or(i64::MAX);
        self.rows = fitting.min(2 * self.rows).min(self.most).max(1);
    }

    /// Reads fewer rows after a batch that took long to publish.
    pub(super) fn shrink(&mut self) {
        self.rows = (self.rows / 4).max(1);
    }

    /// One row at a time: a batch that is being published can't be called back.
    pub(super) fn close(&mut self) {
        self.rows = 1;
    }
}
