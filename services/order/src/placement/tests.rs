use serde_json::{Value, json};

use super::*;

fn fine() -> Value {
    json!({
        "email": "ada@example.com",
        "lines": [
            { "sku": "TEA-1", "quantity": 2, "unit_price_minor": 450 },
            { "sku": "GIFT", "quantity": 1, "unit_price_minor": 0 },
        ],
        "currency": "EUR",
        "ship_to": {
            "name": "Ada", "street": "Rosenweg 1", "city": "Berlin", "postal_code": "10115", "country": "DE",
        },
        "card": "pm_card_visa",
    })
}

fn check(body: Value) -> Result<Placement, Vec<FieldError>> {
    serde_json::from_value::<Request>(body).unwrap().check(&Settings::default())
}

/// The fields that are wrong once one of them, given as a JSON pointer, has another value.
fn wrong(pointer: &str, value: Value) -> Vec<String> {
    let mut body = fine();
    *body.pointer_mut(pointer).unwrap() = value;
    check(body).unwrap_err().into_iter().map(|error| error.field).collect()
}

#[test]
fn a_good_order_is_accepted_as_it_is() {
    let placement = check(fine()).unwrap();
    assert_eq!(placement.total.to_string(), "9.00 EUR");
    assert_eq!(placement.deadline, Duration::from_mins(15));
    assert_eq!(placement.card, "pm_card_visa");
    assert_eq!(placement.details.lines.len(), 2);
    assert_eq!(placement.details.ship_to.country, "DE");
}

#[test]
fn each_bad_value_is_named() {
    let long = "x".repeat(256);
    let many = |lines: usize| Value::from(vec![fine()["lines"][0].clone(); lines]);
    for (pointer, value, expected) in [
        ("/email", Value::Null, "email"),
        ("/email", json!(" "), "email"),
        ("/email", json!("ada"), "email"),
        ("/email", json!("Ada <ada@example.com>"), "email"),
        ("/email", json!("ada@example.com\r\nBcc: eve@example.com"), "email"),
        ("/lines", Value::Null, "lines"),
        ("/lines", json!([]), "lines"),
        ("/lines", many(101), "lines"),
        ("/lines/0/sku", Value::Null, "lines[0].sku"),
        ("/lines/0/sku", json!(""), "lines[0].sku"),
        ("/lines/0/sku", json!(&long), "lines[0].sku"),
        ("/lines/1/quantity", Value::Null, "lines[1].quantity"),
        ("/lines/1/quantity", json!(0), "lines[1].quantity"),
        ("/lines/1/quantity", json!(-1), "lines[1].quantity"),
        ("/lines/1/quantity", json!(1001), "lines[1].quantity"),
        ("/lines/0/unit_price_minor", Value::Null, "lines[0].unit_price_minor"),
        ("/lines/0/unit_price_minor", json!(-1), "lines[0].unit_price_minor"),
        // Twice as much does not fit.
        ("/lines/0/unit_price_minor", json!(i64::MAX), "lines"),
        // Nothing to pay.
        ("/lines/0/unit_price_minor", json!(0), "lines"),
        ("/currency", Value::Null, "currency"),
        ("/currency", json!("eur"), "currency"),
        ("/currency", json!("EURO"), "currency"),
        ("/ship_to", Value::Null, "ship_to"),
        ("/ship_to/name", Value::Null, "ship_to.name"),
        ("/ship_to/street", json!("\u{0}"), "ship_to.street"),
        ("/ship_to/city", json!(&long), "ship_to.city"),
        ("/ship_to/postal_code", json!(""), "ship_to.postal_code"),
        ("/ship_to/country", Value::Null, "ship_to.country"),
        ("/ship_to/country", json!("Germany"), "ship_to.country"),
        ("/ship_to/country", json!("de"), "ship_to.country"),
        ("/card", Value::Null, "card"),
        ("/card", json!(""), "card"),
        ("/card", json!("4242 4242 4242 4242"), "card"),
    ] {
        assert_eq!(wrong(pointer, value.clone()), [expected], "{pointer} = {value}");
    }
}

#[test]
fn all_bad_values_are_named_at_once() {
    let mut named: Vec<_> = check(json!({ "lines": [{}] })).unwrap_err().into_iter().map(|error| error.field).collect();
    named.sort();
    let expected =
        ["card", "currency", "email", "lines[0].quantity", "lines[0].sku", "lines[0].unit_price_minor", "ship_to"];
    assert_eq!(named, expected);
}

#[test]
fn the_limits_themselves_are_fine() {
    let mut body = fine();
    body["lines"] = vec![json!({ "sku": "S", "quantity": 1000, "unit_price_minor": 1 }); 100].into();
    assert_eq!(check(body).unwrap().total.minor, 100_000);
}

#[test]
fn a_deadline_can_be_asked_for() {
    let with = |seconds: i64| {
        let mut body = fine();
        body["deadline_seconds"] = seconds.into();
        check(body)
    };
    assert_eq!(with(1).unwrap().deadline, Duration::from_secs(1));
    assert_eq!(with(86_400).unwrap().deadline, Duration::from_hours(24));
    for seconds in [0, -1, 86_401] {
        assert_eq!(with(seconds).unwrap_err()[0].field, "deadline_seconds");
    }
}
