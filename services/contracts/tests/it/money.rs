use contracts::{Currency, Money, MoneyError};
use proptest::prelude::*;

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: currency.parse().unwrap() }
}

#[test]
fn a_currency_is_three_upper_case_letters() {
    for (code, good) in [
        ("EUR", true),
        ("JPY", true),
        ("eur", false),
        ("EU", false),
        ("EURO", false),
        ("E1R", false),
        ("", false),
        ("ÄÖ", false),
    ] {
        assert_eq!(code.parse::<Currency>().is_ok(), good, "{code}");
        assert_eq!(serde_json::from_value::<Currency>(code.into()).is_ok(), good, "{code}");
    }
}

#[test]
fn an_amount_is_never_read_as_negative() {
    let body = |minor: i64| serde_json::json!({ "minor": minor, "currency": "EUR" });
    assert_eq!(serde_json::from_value::<Money>(body(0)).unwrap(), money(0, "EUR"));
    let refused = serde_json::from_value::<Money>(body(-1)).unwrap_err();
    assert!(refused.to_string().contains("negative"), "{refused}");
}

#[test]
fn amounts_add_up_only_within_a_currency_and_64_bits() {
    assert_eq!(money(1, "EUR").add(&money(2, "EUR")), Ok(money(3, "EUR")));
    assert_eq!(money(7, "EUR").times(3), Ok(money(21, "EUR")));
    assert!(matches!(money(1, "EUR").add(&money(2, "CHF")), Err(MoneyError::Mixed(..))));
    assert_eq!(money(i64::MAX, "EUR").add(&money(1, "EUR")), Err(MoneyError::Overflow));
    assert_eq!(money(i64::MAX, "EUR").times(2), Err(MoneyError::Overflow));
}

#[test]
fn money_is_written_as_its_currency_counts() {
    for (amount, text) in [
        (money(1250, "EUR"), "12.50 EUR"),
        (money(5, "EUR"), "0.05 EUR"),
        (money(0, "EUR"), "0.00 EUR"),
        (money(1250, "JPY"), "1250 JPY"),
        (money(1250, "KWD"), "1.250 KWD"),
        (money(i64::MAX, "EUR"), "92233720368547758.07 EUR"),
    ] {
        assert_eq!(amount.to_string(), text);
    }
}

proptest! {
    #[test]
    fn times_is_repeated_addition(minor in 0..1_000_000_i64, quantity in 0..50_u32) {
        let price = money(minor, "EUR");
        let sum = (0..quantity).try_fold(money(0, "EUR"), |sum, _| sum.add(&price));
        prop_assert_eq!(sum, price.times(quantity));
    }
}
