//! Errors over HTTP.

use std::{error::Error as StdError, fmt::Display};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pavane_outbox::{Failure, chain};
use serde::{Deserialize, Serialize};
use tracing::error;
use utoipa::ToSchema;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed, as RFC 9457 tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// Each part of the request that has to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// A part of a request that has to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct FieldError {
    /// Where: a path into the body such as `lines[0].quantity`, or the name of a parameter or header.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

impl FieldError {
    /// One part of a request, and what is wrong with it.
    pub fn new(field: impl Into<String>, detail: impl Display) -> Self {
        Self { field: field.into(), detail: detail.to_string() }
    }
}

impl Problem {
    /// A problem of a kind, and what went wrong this time.
    pub fn new(status: StatusCode, detail: impl Display) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        let (kind, status, detail) = ("about:blank".to_owned(), status.as_u16(), detail.to_string());
        Self { kind, title, status, detail, errors: Vec::new() }
    }

    /// A parameter or header that can't be read.
    pub fn bad_request(field: &str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the request can't be read").naming(FieldError::new(field, detail))
    }

    /// What an error means to a client: 503 when the database is away and the same request may succeed soon, else 500. What
    /// it was is for the logs.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        if let Some(pavane_outbox::Error::OutboxFull { .. }) = error.downcast_ref() {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "too much waits to be passed on; try again later");
        }
        if !is_passing(error) {
            return Self::internal(chain(error));
        }
        error!(error = chain(error), "failed to answer a request");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be used right now; try again")
    }

    /// A failure inside. What it was is for the logs, not for the client.
    pub fn internal(error: impl Display) -> Self {
        error!(%error, "failed to answer a request");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; it is logged")
    }

    /// Names a part of the request that has to change.
    #[must_use]
    pub fn naming(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        /// Seconds after which a client may ask again: about as long as a database takes to come back.
        const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

impl From<pavane_outbox::Error> for Problem {
    fn from(error: pavane_outbox::Error) -> Self {
        Self::of(&error)
    }
}

/// Whether what failed is there again by itself, soon, so that the same request may succeed then.
fn is_passing(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let outbox = error.downcast_ref::<pavane_outbox::Error>().map(pavane_outbox::Error::failure);
        if let Some(failure) = outbox.or_else(|| error.downcast_ref::<sqlx::Error>().map(Failure::of)) {
            return matches!(failure, Failure::Unavailable | Failure::ReadOnly | Failure::Conflict);
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_from_a_failure_inside() {
        let status = |error: &(dyn StdError + 'static)| Problem::of(error).status;
        assert_eq!(status(&sqlx::Error::PoolTimedOut), 503);
        assert_eq!(status(&pavane_outbox::Error::from(sqlx::Error::PoolClosed)), 503);
        assert_eq!(status(&sqlx::Error::RowNotFound), 500);
        assert_eq!(status(&pavane_outbox::Error::Aborted), 500);
        let response = Problem::of(&sqlx::Error::PoolTimedOut).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert!(!Problem::of(&sqlx::Error::RowNotFound).into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
