//! The rules of the stock, without any I/O.

use std::collections::BTreeMap;

use contracts::{Line, Sku};

/// Most pieces of one thing that can be on hand. Far from what 64 bits count, so that no sum overflows.
pub(crate) const ON_HAND_MAX: i64 = 1_000_000_000;

/// Longest SKU, in bytes.
const SKU_MAX: usize = 64;

/// How many pieces of each thing an order needs, in the order of their SKUs.
pub(crate) type Demand = BTreeMap<Sku, i64>;

/// Why something breaks the rules. Each reads after "failed to …: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// There is nothing to hold.
    #[error("the order has no lines")]
    NoLines,
    /// Less than one piece.
    #[error("the order has a line with 0 pieces of {0}")]
    NoPieces(Sku),
    /// Not a SKU.
    #[error("must be 1 to {SKU_MAX} letters, digits, '-', '_' and '.'")]
    Sku,
    /// Not a number of pieces.
    #[error("must be 0 to {ON_HAND_MAX}")]
    OnHand,
}

/// What an order needs of each thing. Several lines may be about the same one.
pub(crate) fn demand(lines: &[Line]) -> Result<Demand, Error> {
    let mut demand = Demand::new();
    for line in lines {
        if line.quantity == 0 {
            return Err(Error::NoPieces(line.sku.clone()));
        }
        *demand.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
    }
    if demand.is_empty() { Err(Error::NoLines) } else { Ok(demand) }
}

/// A SKU, from what somebody typed.
pub(crate) fn sku(text: &str) -> Result<Sku, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=SKU_MAX).contains(&text.len()) && text.bytes().all(good) { Ok(text.into()) } else { Err(Error::Sku) }
}

/// A number of pieces, from what somebody counted.
pub(crate) fn on_hand(pieces: i64) -> Result<i64, Error> {
    if (0..=ON_HAND_MAX).contains(&pieces) { Ok(pieces) } else { Err(Error::OnHand) }
}

#[cfg(test)]
mod tests {
    use contracts::Money;

    use super::*;

    fn lines(wanted: &[(&str, u32)]) -> Vec<Line> {
        let unit_price = Money { minor: 100, currency: "EUR".parse().unwrap() };
        let line = |&(sku, quantity): &(&str, u32)| Line { sku: sku.into(), quantity, unit_price: unit_price.clone() };
        wanted.iter().map(line).collect()
    }

    #[test]
    fn the_demand_is_the_sum_of_the_lines_of_each_sku_in_their_order() {
        for (wanted, needed) in [
            (&[("mug", 2)][..], &[("mug", 2)][..]),
            (&[("mug", 2), ("cup", 1), ("mug", 3)], &[("cup", 1), ("mug", 5)]),
            (&[("mug", u32::MAX), ("mug", u32::MAX)], &[("mug", 2 * i64::from(u32::MAX))]),
        ] {
            let demand = demand(&lines(wanted)).unwrap();
            let demand: Vec<_> = demand.iter().map(|(sku, pieces)| (sku.as_str(), *pieces)).collect();
            assert_eq!(demand, needed);
        }
    }

    #[test]
    fn an_order_for_nothing_has_no_demand() {
        assert_eq!(demand(&[]), Err(Error::NoLines));
        assert_eq!(demand(&lines(&[("mug", 1), ("cup", 0)])), Err(Error::NoPieces("cup".into())));
    }

    #[test]
    fn a_sku_is_a_short_plain_name() {
        for good in ["mug", "MUG-1_b.2", &"x".repeat(64)] {
            assert_eq!(sku(good), Ok(good.into()));
        }
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert_eq!(sku(bad), Err(Error::Sku), "{bad}");
        }
    }

    #[test]
    fn what_is_on_hand_is_neither_negative_nor_absurd() {
        for (pieces, good) in [(-1, false), (0, true), (ON_HAND_MAX, true), (ON_HAND_MAX + 1, false)] {
            assert_eq!(on_hand(pieces).is_ok(), good, "{pieces}");
        }
    }
}
