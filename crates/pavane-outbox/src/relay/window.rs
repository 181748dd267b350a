//! How many rows the relay reads at once.

use super::store::Unsent;

/// As many as fit into a limited amount of memory, going by those read before.
#[derive(Debug)]
pub(super) struct Window {
    rows: i64,
    most: i64,
    /// Whether the last rows were as many as were asked for: there may be more.
    pub(super) was_filled: bool,
}

impl Window {
    pub(super) fn new(batch_max: u16) -> Self {
        Self { rows: i64::from(batch_max.clamp(1, 64)), most: i64::from(batch_max), was_filled: false }
    }

    pub(super) const fn rows(&self) -> i64 {
        self.rows
    }

    /// Takes the size of rows that were read: twice as many the next time, if that many fit.
    pub(super) fn measure(&mut self, read: &[Unsent]) {
        const BYTES_MAX: usize = 8 << 20;
        self.was_filled = i64::try_from(read.len()).is_ok_and(|read| read >= self.rows);
        let bytes: usize = read.iter().map(|row| row.message.payload.len()).sum();
        let fitting = i64::try_from(BYTES_MAX / (bytes / read.len().max(1) + 1)).unwrap_or(i64::MAX);
        self.rows = fitting.min(2 * self.rows).min(self.most).max(1);
    }

    /// They took long to publish.
    pub(super) fn shrink(&mut self) {
        self.rows = (self.rows / 4).max(1);
    }

    /// One row alone: a batch that is under way can't be called back.
    pub(super) fn close(&mut self) {
        self.rows = 1;
    }
}
