//! Answers, and which status and code of Stripe's each "no" has.

use axum::http::Method;
use serde::Serialize;

use crate::domain::{Intent, Refusal};
use crate::parse::Invalid;
use crate::wire::{ErrorBody, ErrorDetail, PaymentIntent};

const CARD_ERROR: &str = "card_error";
const INVALID_REQUEST: &str = "invalid_request_error";
const IDEMPOTENCY: &str = "idempotency_error";
const API: &str = "api_error";

/// An HTTP answer, exactly as it is sent: what is saved under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn refused(refusal: Refusal, intent: &Intent) -> Self {
        let (status, kind, code, param) = match refusal {
            Refusal::Declined | Refusal::CaptureFailed => (402, CARD_ERROR, "card_declined", None),
            Refusal::UnexpectedState { .. } => (400, INVALID_REQUEST, "payment_intent_unexpected_state", None),
            Refusal::AlreadyRefunded => (400, INVALID_REQUEST, "charge_already_refunded", None),
            Refusal::RefundTooLarge { .. } => (400, INVALID_REQUEST, "amount_too_large", Some("amount")),
        };
        Self::error(
            status,
            ErrorDetail {
                r#type: kind.to_owned(),
                code: Some(code.to_owned()),
                param: param.map(str::to_owned),
                message: refusal.to_string(),
                payment_intent: Some(PaymentIntent::from(intent)),
            },
        )
    }

    pub(crate) fn invalid(invalid: Invalid) -> Self {
        let detail = Self::detail(INVALID_REQUEST, Some(invalid.code), invalid.message);
        Self::error(400, ErrorDetail { param: invalid.param, ..detail })
    }

    /// `status` differs between an intent that the path names (404) and one that the body names (400).
    pub(crate) fn no_such_intent(status: u16, param: &str, id: &str) -> Self {
        let detail = Self::detail(INVALID_REQUEST, Some("resource_missing"), format!("No such payment_intent: '{id}'"));
        Self::error(status, ErrorDetail { param: Some(param.to_owned()), ..detail })
    }

    pub(crate) fn no_such_path(method: &Method, path: &str) -> Self {
        Self::error(404, Self::detail(INVALID_REQUEST, None, format!("Unrecognized request URL ({method}: {path}).")))
    }

    pub(crate) fn no_such_method(method: &Method, path: &str) -> Self {
        Self::error(
            405,
            Self::detail(INVALID_REQUEST, None, format!("Unrecognized request method ({method}: {path}).")),
        )
    }

    pub(crate) fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotency-Key.";
        Self::error(409, Self::detail(IDEMPOTENCY, Some("idempotency_key_in_use"), message.to_owned()))
    }

    pub(crate) fn key_of_another_request() -> Self {
        let message =
            "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self::error(400, Self::detail(IDEMPOTENCY, None, message.to_owned()))
    }

    pub(crate) fn internal() -> Self {
        Self::error(500, Self::detail(API, None, "An unknown error occurred; try again.".to_owned()))
    }

    fn detail(kind: &str, code: Option<&str>, message: String) -> ErrorDetail {
        let code = code.map(str::to_owned);
        ErrorDetail { r#type: kind.to_owned(), code, param: None, message, payment_intent: None }
    }

    fn error(status: u16, error: ErrorDetail) -> Self {
        Self::json(status, &ErrorBody { error })
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self { status, body },
            // Strings and numbers in structs: there is nothing that could fail.
            Err(error) => Self { status: 500, body: error.to_string() },
        }
    }
}
