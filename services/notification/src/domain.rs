//! What a customer is told. Pure rules.

use contracts::{
    Money, OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed},
};

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The order is on its way.
    Confirmation,
    /// The order will not come.
    Cancellation,
}

impl Kind {
    /// The word in the table and in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Cancellation => "cancellation",
        }
    }
}

/// A letter to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) order_id: OrderId,
    pub(crate) kind: Kind,
    /// An e-mail address, as the customer gave it.
    pub(crate) to: String,
    pub(crate) subject: &'static str,
    /// Plain text.
    pub(crate) text: String,
}

impl Letter {
    /// The good news.
    pub(crate) fn confirmation(OrderConfirmed { order_id, email, total }: &OrderConfirmed) -> Self {
        let text = format!(
            "Hello,\n\n\
             thank you for your order. It is confirmed and on its way to you.\n\n\
             Order: {order_id}\n\
             Charged: {total}\n\n\
             {GREETING}"
        );
        let subject = "Your order is on its way";
        Self { order_id: *order_id, kind: Kind::Confirmation, to: email.clone(), subject, text }
    }

    /// The apology, or the answer to the customer's own wish.
    pub(crate) fn cancellation(OrderCancelled { order_id, email, total, reason }: &OrderCancelled) -> Self {
        let (what, money) = (what_happened(*reason), what_of_the_money(*reason, total));
        let text = format!("Hello,\n\n{what}\n\n{money}\n\nOrder: {order_id}\n\n{GREETING}");
        let subject = if *reason == CancelReason::CustomerRequest {
            "Your order is cancelled, as you asked"
        } else {
            "We are sorry: your order is cancelled"
        };
        Self { order_id: *order_id, kind: Kind::Cancellation, to: email.clone(), subject, text }
    }
}

const GREETING: &str = "Kind regards,\nthe Pavane shop\n";

const fn what_happened(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::PaymentDeclined => "we are sorry: your card was declined, so we could not accept your order.",
        CancelReason::OutOfStock => {
            "we are sorry: something in your order sold out before we could set it aside for you."
        }
        CancelReason::NoCarrier => "we are sorry: none of our carriers delivers to your address.",
        CancelReason::CaptureFailed => "we are sorry: your card could not be charged, so we can't send your order.",
        CancelReason::CustomerRequest => "as you asked, your order is cancelled.",
        CancelReason::DeadlinePassed => {
            "we are sorry: your order took longer than we allow ourselves, so we cancelled it."
        }
        // A reason of a later version.
        _ => "we are sorry: your order could not be completed.",
    }
}

/// Only a customer or a deadline can come between a charge and the confirmation.
fn what_of_the_money(reason: CancelReason, total: &Money) -> String {
    match reason {
        CancelReason::PaymentDeclined => "Nothing was charged.".to_owned(),
        CancelReason::OutOfStock | CancelReason::NoCarrier | CancelReason::CaptureFailed => {
            format!("Nothing was charged. The {total} that we had set aside on your card are released.")
        }
        CancelReason::CustomerRequest | CancelReason::DeadlinePassed | _ => {
            format!("You pay nothing: if your card was charged already, the {total} are refunded in full.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> (OrderId, String, Money) {
        let total = Money { minor: 4200, currency: "EUR".parse().unwrap() };
        ("00000000-0000-0000-0000-000000000007".parse().unwrap(), "ada@example.com".to_owned(), total)
    }

    #[test]
    fn a_confirmation_says_what_was_charged() {
        let (order_id, email, total) = order();
        let letter = Letter::confirmation(&OrderConfirmed { order_id, email, total });
        assert_eq!((letter.to.as_str(), letter.kind), ("ada@example.com", Kind::Confirmation));
        assert!(letter.text.contains("42.00 EUR") && letter.text.contains(&order_id.to_string()), "{}", letter.text);
    }

    #[test]
    fn a_cancellation_says_why_and_what_becomes_of_the_money() {
        for (reason, apology, why, money) in [
            (CancelReason::PaymentDeclined, true, "card was declined", "Nothing was charged."),
            (CancelReason::OutOfStock, true, "sold out", "Nothing was charged. The 42.00 EUR"),
            (CancelReason::NoCarrier, true, "none of our carriers", "Nothing was charged. The 42.00 EUR"),
            (CancelReason::CaptureFailed, true, "could not be charged", "Nothing was charged. The 42.00 EUR"),
            (CancelReason::CustomerRequest, false, "as you asked", "the 42.00 EUR are refunded"),
            (CancelReason::DeadlinePassed, true, "took longer", "the 42.00 EUR are refunded"),
        ] {
            let (order_id, email, total) = order();
            let Letter { subject, text, .. } = Letter::cancellation(&OrderCancelled { order_id, email, total, reason });
            assert!(text.contains(why) && text.contains(money), "{reason:?}: {text}");
            assert_eq!((subject.contains("sorry"), text.contains("sorry")), (apology, apology), "{reason:?}");
        }
    }
}
