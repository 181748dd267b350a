//! What a payment intent may become, and what each test card does. Pure rules; amounts are in minor units.

/// The largest amount of one intent, as at Stripe: eight digits.
pub(crate) const AMOUNT_MAX: i64 = 99_999_999;

/// Somebody's promise to pay, from authorisation to refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// `pi_…`.
    pub(crate) id: String,
    /// What was asked for.
    pub(crate) amount: i64,
    /// ISO 4217, in lower case.
    pub(crate) currency: String,
    /// What it is paid with.
    pub(crate) card: Card,
    /// The merchant's own reference.
    pub(crate) order_id: String,
    /// Where it stands.
    pub(crate) status: Status,
    /// What was taken.
    pub(crate) amount_captured: i64,
    /// What was given back, of what was taken.
    pub(crate) amount_refunded: i64,
    /// Unix time, in seconds.
    pub(crate) created: i64,
}

/// Where an intent stands, in Stripe's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The card was declined.
    RequiresPaymentMethod,
    /// Authorised: the amount is reserved on the card.
    RequiresCapture,
    /// The authorisation was given up; nothing was taken.
    Canceled,
    /// Captured.
    Succeeded,
}

/// A test card: the behaviour that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    /// Nothing goes wrong.
    Visa,
    /// Authorisation is declined.
    Declined,
    /// Authorises; every capture is declined.
    CaptureFails,
    /// Authorises after a while.
    Slow,
    /// Authorises, and answers the request that did so too late for its client.
    TimeoutAfterCharge,
    /// Fails the first request under each idempotency key before anything is done.
    ErrorOnce,
}

/// A rule that says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The card's bank says no to the authorisation.
    #[error("Your card was declined.")]
    Declined,
    /// The card's bank says no to the capture.
    #[error("Your card was declined at capture; the authorization is still open.")]
    CaptureFailed,
    /// The intent is past what was asked.
    #[error("You cannot {action} this PaymentIntent because it has a status of {}.", status.name())]
    UnexpectedState {
        /// What was asked, as a verb.
        action: &'static str,
        /// Where the intent stands.
        status: Status,
    },
    /// Nothing is left to give back.
    #[error("The charge of this PaymentIntent has already been refunded.")]
    AlreadyRefunded,
    /// More was asked back than is left.
    #[error("Refund amount is greater than the unrefunded amount of {left} on this charge.")]
    RefundTooLarge {
        /// What is left.
        left: i64,
    },
}

/// A valid request for an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewIntent {
    /// 1 to [`AMOUNT_MAX`].
    pub(crate) amount: i64,
    /// ISO 4217, in lower case.
    pub(crate) currency: String,
    /// What it is paid with.
    pub(crate) card: Card,
    /// The merchant's own reference.
    pub(crate) order_id: String,
}

impl Intent {
    /// Asks the card's bank to reserve the amount.
    pub(crate) fn authorize(new: NewIntent, id: String, created: i64) -> Self {
        let NewIntent { amount, currency, card, order_id } = new;
        let status = if card == Card::Declined { Status::RequiresPaymentMethod } else { Status::RequiresCapture };
        Self { id, amount, currency, card, order_id, status, amount_captured: 0, amount_refunded: 0, created }
    }

    /// What can still be captured.
    pub(crate) const fn amount_capturable(&self) -> i64 {
        match self.status {
            Status::RequiresCapture => self.amount,
            Status::RequiresPaymentMethod | Status::Canceled | Status::Succeeded => 0,
        }
    }

    /// Takes the authorised amount.
    ///
    /// # Errors
    /// [`Refusal::UnexpectedState`] when it is not authorised any more, [`Refusal::CaptureFailed`] when the card says no.
    pub(crate) fn capture(&mut self) -> Result<(), Refusal> {
        if self.status != Status::RequiresCapture {
            return Err(Refusal::UnexpectedState { action: "capture", status: self.status });
        }
        if self.card == Card::CaptureFails {
            return Err(Refusal::CaptureFailed);
        }
        self.status = Status::Succeeded;
        self.amount_captured = self.amount;
        Ok(())
    }

    /// Gives up the authorisation, or the attempt to get one.
    ///
    /// # Errors
    /// [`Refusal::UnexpectedState`] when it was captured, or cancelled before.
    pub(crate) fn cancel(&mut self) -> Result<(), Refusal> {
        match self.status {
            Status::RequiresCapture | Status::RequiresPaymentMethod => {
                self.status = Status::Canceled;
                Ok(())
            }
            Status::Canceled | Status::Succeeded => {
                Err(Refusal::UnexpectedState { action: "cancel", status: self.status })
            }
        }
    }

    /// Gives back `amount`, or all that is left; returns what that was.
    ///
    /// # Errors
    /// [`Refusal::UnexpectedState`] when nothing was captured; [`Refusal::AlreadyRefunded`] and [`Refusal::RefundTooLarge`]
    /// when there is not so much left.
    pub(crate) fn refund(&mut self, amount: Option<i64>) -> Result<i64, Refusal> {
        if self.status != Status::Succeeded {
            return Err(Refusal::UnexpectedState { action: "refund", status: self.status });
        }
        let left = self.amount_captured - self.amount_refunded;
        let amount = amount.unwrap_or(left);
        if left == 0 {
            return Err(Refusal::AlreadyRefunded);
        }
        if amount > left {
            return Err(Refusal::RefundTooLarge { left });
        }
        self.amount_refunded += amount;
        Ok(amount)
    }
}

impl Status {
    const ALL: [Self; 4] = [Self::RequiresPaymentMethod, Self::RequiresCapture, Self::Canceled, Self::Succeeded];

    /// The word on the wire and in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }

    /// The status that is called `name`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

impl Card {
    /// Every card there is.
    pub(crate) const ALL: [Self; 6] =
        [Self::Visa, Self::Declined, Self::CaptureFails, Self::Slow, Self::TimeoutAfterCharge, Self::ErrorOnce];

    /// The payment method's id, on the wire and in the table.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Visa => "pm_card_visa",
            Self::Declined => "pm_card_declined",
            Self::CaptureFails => "pm_card_capture_fails",
            Self::Slow => "pm_card_slow",
            Self::TimeoutAfterCharge => "pm_card_timeout_after_charge",
            Self::ErrorOnce => "pm_card_error_once",
        }
    }

    /// The card with this id.
    pub(crate) fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|card| card.id() == id)
    }
}

#[cfg(test)]
mod tests;
