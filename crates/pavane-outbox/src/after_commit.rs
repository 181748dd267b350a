//! Functions to call in this process after a transaction has committed.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tracing::error;

/// Functions to call, in order. Dropped with a transaction that doesn't commit, and then not called.
#[derive(Default)]
pub(crate) struct AfterCommit(Vec<Box<dyn FnOnce() + Send>>);

impl AfterCommit {
    pub(crate) fn push(&mut self, call: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(call));
    }

    /// Calls them. The commit has happened already, so a panic is caught: it affects neither the others nor the caller.
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
