//! What has become of an order's money. Pure rules.

use contracts::Money;

/// The money of one order, as far as it is known. Amounts in minor units of the currency.
///
/// Facts only: none of them is ever undone, so they may be recorded in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The provider's id of the payment intent, when it made one.
    pub(crate) intent_id: Option<String>,
    /// What the customer is to pay.
    pub(crate) amount: Money,
    /// What was set aside: all of it, or nothing when the card was declined.
    pub(crate) authorized: i64,
    /// What was charged.
    pub(crate) captured: i64,
    /// What was set free without a charge.
    pub(crate) voided: i64,
    /// What was refunded after a charge.
    pub(crate) refunded: i64,
    /// The provider's words, when it declined the card or the capture.
    pub(crate) refusal: Option<String>,
}

/// Where an order's payment stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The amount is set aside.
    Authorized,
    /// The provider refused the card.
    Declined,
    /// The amount is charged.
    Captured,
    /// The amount could not be charged, and is still set aside.
    CaptureFailed,
    /// The amount is free again; nothing was charged.
    Voided,
    /// The charge was refunded.
    Refunded,
}

impl Account {
    /// What is known after the provider's answer to an authorisation.
    pub(crate) fn open(amount: Money, authorized: bool, intent_id: Option<String>, refusal: Option<String>) -> Self {
        let authorized = if authorized { amount.minor } else { 0 };
        Self { intent_id, amount, authorized, captured: 0, voided: 0, refunded: 0, refusal }
    }

    /// Where the payment stands. A later fact outweighs an earlier one, in whatever order they were recorded.
    pub(crate) const fn status(&self) -> Status {
        if self.refunded > 0 {
            Status::Refunded
        } else if self.captured > 0 {
            Status::Captured
        } else if self.voided > 0 {
            Status::Voided
        } else if self.authorized == 0 {
            Status::Declined
        } else if self.refusal.is_some() {
            Status::CaptureFailed
        } else {
            Status::Authorized
        }
    }
}

impl Status {
    /// The word in the table and in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::CaptureFailed => "capture-failed",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (authorized, captured, voided, refunded, refusal)
    type Facts = (i64, i64, i64, i64, Option<&'static str>);

    #[test]
    fn the_status_follows_from_the_facts() {
        let cases: [(Facts, Status); 9] = [
            ((0, 0, 0, 0, Some("no")), Status::Declined),
            ((0, 0, 0, 0, None), Status::Declined),
            ((5, 0, 0, 0, None), Status::Authorized),
            ((5, 0, 0, 0, Some("no")), Status::CaptureFailed),
            ((5, 5, 0, 0, None), Status::Captured),
            ((5, 5, 0, 5, None), Status::Refunded),
            ((5, 0, 5, 0, None), Status::Voided),
            // A capture that came too late, recorded before or after the void that beat it.
            ((5, 0, 5, 0, Some("canceled")), Status::Voided),
            ((5, 5, 0, 1, None), Status::Refunded),
        ];
        for ((authorized, captured, voided, refunded, refusal), expected) in cases {
            let amount = Money { minor: 5, currency: "EUR".parse().unwrap() };
            let mut account = Account::open(amount, authorized > 0, None, refusal.map(str::to_owned));
            (account.captured, account.voided, account.refunded) = (captured, voided, refunded);
            assert_eq!(account.status(), expected, "{account:?}");
        }
    }
}
