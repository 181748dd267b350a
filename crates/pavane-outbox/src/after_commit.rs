//! What is to happen in this process once a transaction has committed.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tracing::error;

/// Functions to call, in order. Dropped uncalled with a transaction that doesn't commit.
#[derive(Default)]
pub(crate) struct AfterCommit(Vec<Box<dyn FnOnce() + Send>>);

impl AfterCommit {
    pub(crate) fn push(&mut self, call: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(call));
    }

    /// Calls them. What is committed stays committed: one that panics harms neither the others nor the caller.
    pub(crate) fn run(self) {
        for call in self.0 {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let cause = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                error!(cause, "what was to run after the commit panicked");
            }
        }
    }
}

impl fmt::Debug for AfterCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AfterCommit").field(&self.0.len()).finish()
    }
}
