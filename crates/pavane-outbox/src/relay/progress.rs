use pavane_bus::PublishError;

use crate::{Error as StoreError, Failure};

/// What one turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Published some rows; there may be more.
    Sent {
        /// How many the broker acknowledged.
        sent: usize,
        /// How many it refused for good.
        refused: usize,
    },
    /// There was nothing to publish.
    Idle {
        /// Microseconds until the next timer is due, if there is one.
        next_due: Option<i64>,
    },
    /// Another instance holds the lease.
    Standby,
}

/// Why a turn failed. The next one tries again; nothing is lost. Each reads after "failed to relay events: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is unavailable.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// The broker didn't acknowledge.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Error {
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Store(error) if error.failure() == Failure::ReadOnly)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
