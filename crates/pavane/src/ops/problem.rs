//! Errors over HTTP.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
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
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        pavane_outbox::Error::from(error).into()
    }
}

impl From<pavane_outbox::Error> for Problem {
    fn from(error: pavane_outbox::Error) -> Self {
        use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut};
        if let pavane_outbox::Error::Database(Io(_) | PoolTimedOut | PoolClosed | BeginFailed) = error {
            error!(%error, "failed to answer a request");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be used right now; try again");
        }
        Self::internal(error)
    }
}
