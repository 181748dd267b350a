use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

/// Why a request failed, as RFC 9457 tells it (`application/problem+json`).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// Each part of the request that has to change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// A part of a request that has to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where: a path into the body such as `lines[0].quantity`, or the name of a parameter or header.
    pub(crate) field: String,
    /// What is wrong with it, and what would be right.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), errors: Vec::new() }
    }

    /// One parameter or header that can't be read.
    pub(crate) fn bad_request(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the request can't be read").naming(FieldError::new(field, detail))
    }

    /// A body that was read, and can't be accepted.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the order can't be accepted as it is");
        problem.errors = errors;
        problem
    }

    #[must_use]
    pub(crate) fn naming(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    pub(crate) fn no_such_order() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no order with this id")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        pavane::outbox::Error::from(error).into()
    }
}

impl From<pavane::outbox::Error> for Problem {
    fn from(error: pavane::outbox::Error) -> Self {
        use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut};
        error!(%error, "failed to answer a request");
        if let pavane::outbox::Error::Database(Io(_) | PoolTimedOut | PoolClosed | BeginFailed) = error {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database can't be used right now; try again");
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; it is logged")
    }
}
