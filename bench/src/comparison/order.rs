//! An order, as all three ways of doing it get it.

use pavane_contract::{SagaId, SystemClock};
use serde::{Deserialize, Serialize};

/// ISO 4217.
pub(crate) const CURRENCY: &str = "EUR";
/// The card with which nothing goes wrong.
pub(crate) const FAST_CARD: &str = "pm_card_visa";
/// The card that the provider takes a while to authorise.
pub(crate) const SLOW_CARD: &str = "pm_card_slow";
/// In minor units.
const UNIT_PRICE: i64 = 1_999;
const COUNTRY: &str = "FR";

/// One line, one address: the smallest order that touches everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Chosen by the customer, who can so ask for it when the answer is lost. Pavane's shop chooses one itself.
    pub(crate) id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    /// In minor units.
    pub(crate) unit_price: i64,
    pub(crate) card: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: String,
}

impl Order {
    /// One piece of the product with this number.
    pub(crate) fn of(product: usize, card: &str) -> Self {
        Self {
            // Sorted by time, as everybody's ids here: the indexes grow at their end.
            id: SagaId::new(&SystemClock).to_string(),
            sku: sku(product),
            quantity: 1,
            unit_price: UNIT_PRICE,
            card: card.to_owned(),
            country: COUNTRY.to_owned(),
        }
    }

    /// What it costs, in minor units.
    pub(crate) const fn amount(&self) -> i64 {
        self.quantity * self.unit_price
    }

    /// The lines as the order service stores them.
    pub(crate) fn lines(&self) -> String {
        let unit_price = serde_json::json!({ "minor": self.unit_price, "currency": CURRENCY });
        serde_json::json!([{ "sku": self.sku, "quantity": self.quantity, "unit_price": unit_price }]).to_string()
    }

    /// The request that Pavane's order service takes.
    pub(crate) fn request(&self) -> serde_json::Value {
        serde_json::json!({
            "email": "customer@example.com",
            "currency": CURRENCY,
            "lines": [{ "sku": self.sku, "quantity": self.quantity, "unit_price_minor": self.unit_price }],
            "ship_to": { "name": "A", "street": "B", "city": "C", "postal_code": "D", "country": self.country },
            "card": self.card,
        })
    }
}

/// The name of a product.
pub(crate) fn sku(product: usize) -> String {
    format!("product-{product}")
}
