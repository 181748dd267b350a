//! Reads request bodies, and names the field that is wrong.

use serde_json::{Map, Value};

use crate::domain::{AMOUNT_MAX, Card, NewIntent};
use crate::wire::{CAPTURE_METHOD, CreateRefund};

/// The longest text that is taken: ids and references.
const TEXT_MAX: usize = 255;

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) code: &'static str,
    /// In Stripe's notation: `metadata[order_id]`.
    pub(crate) param: Option<String>,
    pub(crate) message: String,
}

pub(crate) fn new_intent(body: &[u8]) -> Result<NewIntent, Invalid> {
    let body = object(body)?;
    let amount = amount(&body, "amount")?.ok_or_else(|| missing("amount"))?;
    let currency = required(text(&body, "currency", "currency")?, "currency")?;
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(invalid("currency", "must be three letters, such as eur"));
    }
    let card = required(text(&body, "payment_method", "payment_method")?, "payment_method")?;
    let card = Card::of(card).ok_or_else(|| Invalid {
        code: "resource_missing",
        param: Some("payment_method".to_owned()),
        message: format!("No such PaymentMethod: '{card}'; there are {}.", Card::ALL.map(Card::id).join(", ")),
    })?;
    if text(&body, "capture_method", "capture_method")?.is_some_and(|method| method != CAPTURE_METHOD) {
        return Err(invalid("capture_method", "can only be manual"));
    }
    let metadata = match body.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(invalid("metadata", "must be an object")),
        None => return Err(missing("metadata[order_id]")),
    };
    let order_id = required(text(metadata, "order_id", "metadata[order_id]")?, "metadata[order_id]")?.to_owned();
    Ok(NewIntent { amount, currency: currency.to_ascii_lowercase(), card, order_id })
}

pub(crate) fn new_refund(body: &[u8]) -> Result<CreateRefund, Invalid> {
    let body = object(body)?;
    let payment_intent = required(text(&body, "payment_intent", "payment_intent")?, "payment_intent")?.to_owned();
    Ok(CreateRefund { payment_intent, amount: amount(&body, "amount")? })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Invalid> {
    serde_json::from_slice(body).map_err(|error| Invalid {
        code: "parameter_invalid",
        param: None,
        message: format!("The body must be a JSON object: {error}."),
    })
}

fn amount(body: &Map<String, Value>, param: &str) -> Result<Option<i64>, Invalid> {
    let Some(value) = body.get(param).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let amount = value.as_i64().filter(|amount| (1..=AMOUNT_MAX).contains(amount));
    amount
        .map(Some)
        .ok_or_else(|| invalid(param, &format!("must be an integer from 1 to {AMOUNT_MAX}, in minor units")))
}

fn text<'a>(body: &'a Map<String, Value>, field: &str, param: &str) -> Result<Option<&'a str>, Invalid> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if (1..=TEXT_MAX).contains(&text.len()) => Ok(Some(text)),
        Some(_) => Err(invalid(param, &format!("must be a text of 1 to {TEXT_MAX} bytes"))),
    }
}

fn required<'a>(value: Option<&'a str>, param: &str) -> Result<&'a str, Invalid> {
    value.ok_or_else(|| missing(param))
}

pub(crate) fn missing(param: &str) -> Invalid {
    Invalid {
        code: "parameter_missing",
        param: Some(param.to_owned()),
        message: format!("Missing required param: {param}."),
    }
}

pub(crate) fn invalid(param: &str, rule: &str) -> Invalid {
    Invalid { code: "parameter_invalid", param: Some(param.to_owned()), message: format!("{param} {rule}.") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn valid() -> Value {
        json!({
            "amount": 4200, "currency": "EUR", "payment_method": "pm_card_visa", "capture_method": "manual",
            "metadata": { "order_id": "o-1" },
        })
    }

    #[test]
    fn a_valid_request_is_read() {
        let expected = NewIntent { amount: 4200, currency: "eur".into(), card: Card::Visa, order_id: "o-1".into() };
        assert_eq!(new_intent(valid().to_string().as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pointer, value, param) in [
            ("/amount", Value::Null, "amount"),
            ("/amount", json!(0), "amount"),
            ("/amount", json!(-1), "amount"),
            ("/amount", json!(12.5), "amount"),
            ("/amount", json!("4200"), "amount"),
            ("/amount", json!(AMOUNT_MAX + 1), "amount"),
            ("/currency", json!("euro"), "currency"),
            ("/currency", json!("e€"), "currency"),
            ("/payment_method", json!("4242424242424242"), "payment_method"),
            ("/payment_method", json!(""), "payment_method"),
            ("/capture_method", json!("automatic"), "capture_method"),
            ("/metadata", json!("o-1"), "metadata"),
            ("/metadata/order_id", json!(1), "metadata[order_id]"),
            ("/metadata/order_id", json!("o".repeat(256)), "metadata[order_id]"),
        ] {
            let mut body = valid();
            *body.pointer_mut(pointer).unwrap() = value.clone();
            let refused = new_intent(body.to_string().as_bytes()).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(param), "{pointer} = {value}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (field, param) in [
            ("amount", "amount"),
            ("currency", "currency"),
            ("payment_method", "payment_method"),
            ("metadata", "metadata[order_id]"),
        ] {
            let mut body = valid();
            body.as_object_mut().unwrap().remove(field);
            let refused = new_intent(body.to_string().as_bytes()).unwrap_err();
            assert_eq!((refused.code, refused.param.as_deref()), ("parameter_missing", Some(param)));
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["", "{", "[]", "7"] {
            assert_eq!(new_intent(body.as_bytes()).unwrap_err().param, None, "{body}");
        }
    }
}
