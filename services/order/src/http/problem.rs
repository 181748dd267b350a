//! Problems that several requests have.

use axum::http::StatusCode;
use web::{FieldError, Problem};

/// A body that was read, and can't be accepted.
pub(super) fn not_acceptable(errors: Vec<FieldError>) -> Problem {
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the order can't be accepted as it is");
    errors.into_iter().fold(problem, Problem::naming)
}

pub(super) fn no_such_order() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no order with this id")
}
