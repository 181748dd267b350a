use std::{fmt, str::FromStr};

use pavane_contract::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Money;

/// Identifies an order, and is the key of every event about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// The id as a UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for OrderId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<OrderId> for Key {
    fn from(id: OrderId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OrderId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Names a thing that the shop sells (stock keeping unit).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sku(String);

impl Sku {
    /// The SKU as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Sku {
    fn from(sku: String) -> Self {
        Self(sku)
    }
}

impl From<&str> for Sku {
    fn from(sku: &str) -> Self {
        Self(sku.to_owned())
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of an order: how many of what, at which price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What is ordered.
    pub sku: Sku,
    /// How many pieces, at least 1.
    pub quantity: u32,
    /// The price of one piece.
    pub unit_price: Money,
}

/// Where a parcel goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Who receives it.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// Street and number.
    #[schemars(extend("x-personal" = true))]
    pub street: String,
    /// Town.
    #[schemars(extend("x-personal" = true))]
    pub city: String,
    /// Postal code, as the country writes it.
    #[schemars(extend("x-personal" = true))]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 code of the country, in upper case: `DE`. Names nobody.
    pub country: String,
}

/// What the services down the line need to know of an order, carried along so that none of them asks: the lines for the stock,
/// the address for the parcel. Where the customer reads mail is none of their business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDetails {
    /// What is ordered, at least one line.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub ship_to: Address,
}
