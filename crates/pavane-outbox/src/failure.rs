//! The kind of a database error.

use std::borrow::Cow;

use crate::{Dialect, Error};

/// What to do about a database error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each caller must decide about each")]
pub enum Failure {
    /// The database isn't there, or refuses this user: wait for it. The statement itself may be fine.
    Unavailable,
    /// The database is read-only: as [`Unavailable`](Self::Unavailable), and open connections lead to the wrong server. Use
    /// [others](crate::Db::distrust).
    ReadOnly,
    /// The database rolled this transaction back in favour of another one: try again at once.
    Conflict,
    /// The statement failed, or took too long.
    Statement,
}

impl Failure {
    /// The kind of an error.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what isn't known to be the database's is the statement's")]
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable,
            sqlx::Error::Database(error) => error.code().map_or(Self::Statement, |code| Self::of_code(&code)),
            _ => Self::Statement,
        }
    }

    /// By SQLSTATE, or by SQLite's result code. See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_code(code: &str) -> Self {
        if let (Ok(number), 1..5) = (code.parse::<i64>(), code.len()) {
            // Busy and locked, with their extended codes.
            return if matches!(number & 0xff, 5 | 6) { Self::Unavailable } else { Self::Statement };
        }
        match code {
            "40001" | "40P01" => Self::Conflict,
            // The primary became a standby.
            "25006" => Self::ReadOnly,
            // A pooler that mixes up prepared statements.
            "26000" | "42P05" => Self::Unavailable,
            // Connection lost, out of resources, shut down by an operator. Not 57014: that statement was cancelled.
            code if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Self::Unavailable,
            _ => Self::Statement,
        }
    }
}

impl Error {
    /// The kind of this error. A time-out of one of the framework's own statements is not the handler's failure.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others say nothing about the database")]
    pub fn failure(&self) -> Failure {
        const QUERY_CANCELED: &str = "57014";
        match self {
            Self::NoAnswer(_) | Self::NoConnection { .. } | Self::Exhausted { .. } | Self::Pooler(_) => {
                Failure::Unavailable
            }
            Self::Database(error) if code(error).is_some_and(|code| code == QUERY_CANCELED) => Failure::Unavailable,
            Self::Database(error) => Failure::of(error),
            _ => Failure::Statement,
        }
    }
}

/// Whether PostgreSQL refuses a statement because an earlier one of the transaction failed.
pub(crate) fn is_aborted(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "25P02")
}

/// Whether a prepared statement is missing or exists already, because another client uses the same connection.
pub(crate) fn is_poolers(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["26000", "42P05"].contains(&&*code))
}

/// Whether SQLite refuses to commit because there is no transaction. That has no code of its own.
pub(crate) fn is_no_transaction(error: &sqlx::Error, dialect: Dialect) -> bool {
    dialect == Dialect::Sqlite && code(error).is_some_and(|code| code == "1")
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}
