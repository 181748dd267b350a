//! The framework's times as PostgreSQL's own type.

use pavane::Timestamp;
use sqlx::{Error, Result, types::time::OffsetDateTime};

/// A time, to be bound.
pub(crate) fn timestamptz(at: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).map_err(|error| Error::Encode(error.into()))
}
