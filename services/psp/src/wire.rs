//! The JSON that goes in and out, in Stripe's shapes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Intent;

/// A request to authorise a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreateIntent {
    /// In minor units (cents), 1 to 99999999.
    #[schema(minimum = 1, maximum = 99_999_999, example = 4200)]
    pub amount: i64,
    /// Three letters, ISO 4217.
    #[schema(example = "eur")]
    pub currency: String,
    /// A test card: `pm_card_visa`, `pm_card_declined`, `pm_card_capture_fails`, `pm_card_slow`, `pm_card_timeout_after_charge`
    /// or `pm_card_error_once`.
    #[schema(example = "pm_card_visa")]
    pub payment_method: String,
    /// Only `manual`, which is also what is meant without it: authorise now, capture later.
    #[schema(required = false, example = "manual")]
    pub capture_method: String,
    /// The merchant's own reference.
    pub metadata: Metadata,
}

/// What the merchant attaches to an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metadata {
    /// The merchant's order, by which its intents can be looked up.
    pub order_id: String,
}

/// A payment intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// Always `payment_intent`.
    pub object: String,
    /// What was asked for, in minor units.
    pub amount: i64,
    /// What can still be captured, in minor units.
    pub amount_capturable: i64,
    /// What was captured, in minor units.
    pub amount_captured: i64,
    /// What was refunded of it, in minor units.
    pub amount_refunded: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// `requires_payment_method` (declined), `requires_capture` (authorised), `canceled` or `succeeded` (captured).
    pub status: String,
    /// The test card.
    pub payment_method: String,
    /// Always `manual`.
    pub capture_method: String,
    /// What the merchant attached.
    pub metadata: Metadata,
    /// Unix time, in seconds.
    pub created: i64,
}

/// The intents of one order, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentIntents {
    /// Always `list`.
    pub object: String,
    /// At most 100.
    pub data: Vec<PaymentIntent>,
}

/// A request to give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreateRefund {
    /// The intent that was captured.
    pub payment_intent: String,
    /// In minor units; all that is left when it is not given.
    #[schema(minimum = 1)]
    pub amount: Option<i64>,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Always `refund`.
    pub object: String,
    /// In minor units.
    pub amount: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// The intent that was captured.
    pub payment_intent: String,
    /// Always `succeeded`.
    pub status: String,
    /// Unix time, in seconds.
    pub created: i64,
}

/// The provider's books: what an auditor compares with the merchant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balances {
    /// Always `balance`.
    pub object: String,
    /// One line a currency, in the order of their codes.
    pub currencies: Vec<Balance>,
}

/// The books in one currency; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// ISO 4217, in lower case.
    pub currency: String,
    /// All that was ever captured.
    pub captured: i64,
    /// All that was refunded of it.
    pub refunded: i64,
    /// How many authorisations are neither captured nor cancelled.
    pub open_authorizations: i64,
    /// What they reserve.
    pub open_authorizations_amount: i64,
}

/// Any answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// `card_error`, `invalid_request_error`, `idempotency_error` or `api_error`.
    pub r#type: String,
    /// What a program can act on, for example `card_declined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// For a person.
    pub message: String,
    /// The intent, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<PaymentIntent>,
}

impl From<&Intent> for PaymentIntent {
    fn from(intent: &Intent) -> Self {
        Self {
            id: intent.id.clone(),
            object: "payment_intent".to_owned(),
            amount: intent.amount,
            amount_capturable: intent.amount_capturable(),
            amount_captured: intent.amount_captured,
            amount_refunded: intent.amount_refunded,
            currency: intent.currency.clone(),
            status: intent.status.name().to_owned(),
            payment_method: intent.card.id().to_owned(),
            capture_method: CAPTURE_METHOD.to_owned(),
            metadata: Metadata { order_id: intent.order_id.clone() },
            created: intent.created,
        }
    }
}

/// The only way of capturing that there is.
pub(crate) const CAPTURE_METHOD: &str = "manual";
