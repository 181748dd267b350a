use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// An ISO 4217 currency code: three upper-case letters, such as `EUR`.
///
/// Whether a currency with that code exists is not checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(!try_from)]
pub struct Currency(#[schemars(regex(pattern = r"^[A-Z]{3}$"))] String);

impl Currency {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many decimals a major unit has (ISO 4217, column "minor unit"): 2 for nearly all.
    fn decimals(&self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(code))
        } else {
            Err(MoneyError::Currency(code))
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        code.to_owned().try_into()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An amount of money, never negative: what flows back is an event of its own, not a sign.
///
/// Whole minor units (cents), so that sums are exact. `i64` because databases have no unsigned integers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// The amount in minor units of the currency, 0 or more; a body with less is refused.
    #[serde(deserialize_with = "non_negative")]
    #[schemars(range(min = 0))]
    pub minor: i64,
    /// What it is counted in.
    pub currency: Currency,
}

impl Money {
    /// The sum of two amounts.
    ///
    /// # Errors
    ///
    /// When the currencies differ, or the sum doesn't fit.
    pub fn add(&self, other: &Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency.clone(), other.currency.clone()));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, currency: self.currency.clone() })
    }

    /// The price of `quantity` pieces at this price.
    ///
    /// # Errors
    ///
    /// When the product doesn't fit.
    pub fn times(&self, quantity: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(quantity.into()).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, currency: self.currency.clone() })
    }
}

/// For people: `12.50 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minor, currency) = (self.minor, &self.currency);
        match currency.decimals() {
            0 => write!(f, "{minor} {currency}"),
            decimals => {
                let unit = 10_i64.pow(decimals);
                let width = decimals as usize;
                write!(f, "{}.{:0width$} {currency}", minor / unit, minor % unit)
            }
        }
    }
}

/// Why an amount can't be computed. Each reads after "failed to work out the amount: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// Not a currency code.
    #[error("{0:?} is not a currency: three upper-case letters are wanted")]
    Currency(String),
    /// Amounts of different currencies don't add up.
    #[error("{0} and {1} don't add up")]
    Mixed(Currency, Currency),
    /// More money than 64 bits count.
    #[error("the amount is too large")]
    Overflow,
}

fn non_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let minor = i64::deserialize(deserializer)?;
    if minor < 0 {
        return Err(de::Error::custom(format_args!("the amount {minor} is negative")));
    }
    Ok(minor)
}
