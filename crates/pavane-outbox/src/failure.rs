//! What kind of failure an error of the database is.

use std::borrow::Cow;

use crate::{Dialect, Error};

/// What to do about a failure of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever asks must decide about each")]
pub enum Failure {
    /// The database isn't there, or lets nobody in: wait for it. It says nothing about the statement.
    Unavailable,
    /// The database can't be written to: as [`Unavailable`](Self::Unavailable), and connections that are open lead to the wrong
    /// server. Use [others](crate::Db::distrust).
    ReadOnly,
    /// Another transaction was in the way, and this one was rolled back to let it go on: try again at once.
    Conflict,
    /// The statement failed, or took too long.
    Statement,
}

impl Failure {
    /// What kind of failure an error is.
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
    /// What kind of failure it is. One of the framework's own statements that takes too long says nothing about who runs it.
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

/// Whether PostgreSQL refuses a statement because one before it in the transaction failed.
pub(crate) fn is_aborted(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "25P02")
}

/// Whether a prepared statement isn't there, or is there already: somebody else uses the same connection.
pub(crate) fn is_poolers(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["26000", "42P05"].contains(&&*code))
}

/// Whether SQLite refuses to commit because there is no transaction: the only thing that its `commit` has no other code for.
pub(crate) fn is_no_transaction(error: &sqlx::Error, dialect: Dialect) -> bool {
    dialect == Dialect::Sqlite && code(error).is_some_and(|code| code == "1")
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}
