//! What can happen to an order, and how it must end.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Serialize;

/// One way for an order to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "a new one must be thought of everywhere")]
pub enum Scenario {
    /// Everything works.
    Confirmed,
    /// The card is declined.
    Declined,
    /// The last piece is gone.
    OutOfStock,
    /// Nobody delivers there.
    NoCarrier,
    /// The money was reserved but can't be taken.
    CaptureFails,
    /// The customer cancels while the order is being paid.
    CancelledWhilePaying,
    /// The payment takes longer than the order may.
    DeadlinePassed,
    /// The provider charges and then doesn't answer.
    ProviderTimesOut,
    /// The customer's client sends the order twice.
    PostedTwice,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum End {
    /// Paid, reserved and on its way.
    Confirmed,
    /// Everything that was done is undone.
    Cancelled,
}

impl Scenario {
    /// All of them, with how many of 100 orders go that way.
    pub const WEIGHTS: [(Self, usize); 9] = [
        (Self::Confirmed, 56),
        (Self::Declined, 8),
        (Self::OutOfStock, 6),
        (Self::NoCarrier, 6),
        (Self::CaptureFails, 6),
        (Self::CancelledWhilePaying, 5),
        (Self::DeadlinePassed, 4),
        (Self::ProviderTimesOut, 4),
        (Self::PostedTwice, 5),
    ];

    /// How it must end.
    pub const fn end(self) -> End {
        if self.cancel_reason().is_some() { End::Cancelled } else { End::Confirmed }
    }

    /// The reason that a cancelled order must give.
    pub const fn cancel_reason(self) -> Option<&'static str> {
        match self {
            Self::Declined => Some("payment-declined"),
            Self::OutOfStock => Some("out-of-stock"),
            Self::NoCarrier => Some("no-carrier"),
            Self::CaptureFails => Some("capture-failed"),
            Self::CancelledWhilePaying => Some("customer-request"),
            Self::DeadlinePassed => Some("deadline-passed"),
            Self::Confirmed | Self::ProviderTimesOut | Self::PostedTwice => None,
        }
    }

    /// The test card that makes the payment provider play along.
    pub const fn card(self) -> &'static str {
        match self {
            Self::Declined => "pm_card_declined",
            Self::CaptureFails => "pm_card_capture_fails",
            Self::CancelledWhilePaying | Self::DeadlinePassed => "pm_card_slow",
            Self::ProviderTimesOut => "pm_card_timeout_after_charge",
            Self::Confirmed | Self::OutOfStock | Self::NoCarrier | Self::PostedTwice => "pm_card_visa",
        }
    }

    /// In words, for the table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Confirmed => "everything works",
            Self::Declined => "card declined",
            Self::OutOfStock => "out of stock",
            Self::NoCarrier => "no carrier for the address",
            Self::CaptureFails => "capture fails",
            Self::CancelledWhilePaying => "cancelled while being paid",
            Self::DeadlinePassed => "deadline passed",
            Self::ProviderTimesOut => "provider times out after charging",
            Self::PostedTwice => "order posted twice",
        }
    }
}

/// `orders` scenarios in a seeded order: every one at least once when there are enough orders.
pub fn draw(orders: usize, seed: u64) -> Vec<Scenario> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut drawn: Vec<_> = Scenario::WEIGHTS.iter().map(|(scenario, _)| *scenario).take(orders).collect();
    while drawn.len() < orders {
        let mut at = rng.random_range(0..100);
        let hit = Scenario::WEIGHTS.iter().find(|(_, weight)| {
            let hit = at < *weight;
            at = at.saturating_sub(*weight);
            hit
        });
        drawn.extend(hit.map(|(scenario, _)| *scenario));
    }
    drawn.shuffle(&mut rng);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_make_a_hundred() {
        assert_eq!(Scenario::WEIGHTS.iter().map(|(_, weight)| weight).sum::<usize>(), 100);
    }

    #[test]
    fn a_seed_draws_the_same_scenarios_and_all_of_them() {
        let drawn = draw(200, 7);
        assert_eq!(drawn, draw(200, 7));
        assert_ne!(drawn, draw(200, 8));
        assert!(Scenario::WEIGHTS.iter().all(|(scenario, _)| drawn.contains(scenario)));
        assert_eq!((draw(3, 1).len(), draw(0, 1).len()), (3, 0));
    }
}
