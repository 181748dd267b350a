//! What is known about an order, and what it amounts to.
//!
//! Facts come from four services and overtake one another, so an order is a *set* of facts and its status a function of
//! that set: whatever order they arrive in, the end is the same.

use contracts::{
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderPlaced},
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::Event as _;

/// Something that happened to an order. The number is its bit in the table: never change one, only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    Placed = 0,
    Authorized = 1,
    Declined = 2,
    Reserved = 3,
    OutOfStock = 4,
    ShipmentCreated = 5,
    NoCarrier = 6,
    Captured = 7,
    CaptureFailed = 8,
    Confirmed = 9,
    Cancelled = 10,
    Voided = 11,
    Refunded = 12,
    Released = 13,
    ShipmentCancelled = 14,
}

impl Fact {
    pub(crate) const ALL: [Self; 15] = [
        Self::Placed,
        Self::Authorized,
        Self::Declined,
        Self::Reserved,
        Self::OutOfStock,
        Self::ShipmentCreated,
        Self::NoCarrier,
        Self::Captured,
        Self::CaptureFailed,
        Self::Confirmed,
        Self::Cancelled,
        Self::Voided,
        Self::Refunded,
        Self::Released,
        Self::ShipmentCancelled,
    ];

    /// The name of its event. Wire format.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Placed => OrderPlaced::NAME,
            Self::Authorized => PaymentAuthorized::NAME,
            Self::Declined => PaymentDeclined::NAME,
            Self::Reserved => StockReserved::NAME,
            Self::OutOfStock => StockRejected::NAME,
            Self::ShipmentCreated => ShipmentCreated::NAME,
            Self::NoCarrier => ShipmentRejected::NAME,
            Self::Captured => PaymentCaptured::NAME,
            Self::CaptureFailed => PaymentCaptureFailed::NAME,
            Self::Confirmed => OrderConfirmed::NAME,
            Self::Cancelled => OrderCancelled::NAME,
            Self::Voided => PaymentVoided::NAME,
            Self::Refunded => PaymentRefunded::NAME,
            Self::Released => StockReleased::NAME,
            Self::ShipmentCancelled => ShipmentCancelled::NAME,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }

    /// For the customer.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Placed => "We received your order",
            Self::Authorized => "Your card was accepted; nothing is charged yet",
            Self::Declined => "Your card was declined",
            Self::Reserved => "Everything you ordered is set aside for you",
            Self::OutOfStock => "Something you ordered is out of stock",
            Self::ShipmentCreated => "A carrier will take your parcel",
            Self::NoCarrier => "No carrier delivers to your address",
            Self::Captured => "Your card was charged",
            Self::CaptureFailed => "Your card could not be charged",
            Self::Confirmed => "Your order is confirmed",
            Self::Cancelled => "Your order is cancelled",
            Self::Voided => "The amount set aside on your card is free again",
            Self::Refunded => "Your money was given back",
            Self::Released => "What was set aside for you is for sale again",
            Self::ShipmentCancelled => "Your parcel was called off",
        }
    }

    pub(crate) const fn bit(self) -> i64 {
        1 << self as u8
    }
}

/// What a fact presupposes: its cause may be known later than itself, but it did happen. From the last to the first, so
/// that one pass finds them all.
const PRESUPPOSES: [(Fact, Fact); 12] = [
    (Fact::Confirmed, Fact::Captured),
    (Fact::Refunded, Fact::Captured),
    (Fact::Captured, Fact::ShipmentCreated),
    (Fact::CaptureFailed, Fact::ShipmentCreated),
    (Fact::ShipmentCancelled, Fact::ShipmentCreated),
    (Fact::ShipmentCreated, Fact::Reserved),
    (Fact::NoCarrier, Fact::Reserved),
    (Fact::Released, Fact::Reserved),
    (Fact::Reserved, Fact::Authorized),
    (Fact::OutOfStock, Fact::Authorized),
    (Fact::Voided, Fact::Authorized),
    (Fact::Authorized, Fact::Placed),
];

/// Of each two, one at most can be true.
const EXCLUDES: [(Fact, Fact); 6] = [
    (Fact::Authorized, Fact::Declined),
    (Fact::Reserved, Fact::OutOfStock),
    (Fact::ShipmentCreated, Fact::NoCarrier),
    (Fact::Captured, Fact::CaptureFailed),
    (Fact::Captured, Fact::Voided),
    (Fact::Confirmed, Fact::Cancelled),
];

/// What was done, and what undoes it. A capture uses the authorisation up.
const UNDONE_BY: [(Fact, &[Fact]); 4] = [
    (Fact::Authorized, &[Fact::Voided, Fact::Captured]),
    (Fact::Captured, &[Fact::Refunded]),
    (Fact::Reserved, &[Fact::Released]),
    (Fact::ShipmentCreated, &[Fact::ShipmentCancelled]),
];

/// What happens only because an order is cancelled.
const UNDOS: [Fact; 4] = [Fact::Voided, Fact::Refunded, Fact::Released, Fact::ShipmentCancelled];

/// All that is known about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts(i64);

impl Facts {
    pub(crate) const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    pub(crate) const fn with(self, fact: Fact) -> Self {
        Self(self.0 | fact.bit())
    }

    pub(crate) const fn has(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    pub(crate) fn status(self) -> Status {
        let known = self.with_causes();
        if known.contradict() {
            Status::NeedsReview
        } else if known.has(Fact::Confirmed) {
            Status::Confirmed
        } else if known.has(Fact::Cancelled) {
            if known.is_undone() { Status::Cancelled } else { Status::Cancelling }
        } else if known.has(Fact::ShipmentCreated) {
            Status::ShipmentCreated
        } else if known.has(Fact::Reserved) {
            Status::StockReserved
        } else if known.has(Fact::Authorized) {
            Status::Authorized
        } else {
            Status::PaymentPending
        }
    }

    fn with_causes(self) -> Self {
        PRESUPPOSES.iter().fold(self, |known, (fact, cause)| if known.has(*fact) { known.with(*cause) } else { known })
    }

    fn contradict(self) -> bool {
        EXCLUDES.iter().any(|(one, other)| self.has(*one) && self.has(*other))
            || (!self.has(Fact::Cancelled) && UNDOS.iter().any(|undo| self.has(*undo)))
    }

    fn is_undone(self) -> bool {
        UNDONE_BY.iter().all(|(done, undone)| !self.has(*done) || undone.iter().any(|undo| self.has(*undo)))
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    PaymentPending,
    Authorized,
    StockReserved,
    ShipmentCreated,
    Confirmed,
    /// Something that was done for it is not undone yet.
    Cancelling,
    /// Everything that is known to have been done for it is undone.
    Cancelled,
    /// What is known contradicts itself: a person has to look.
    NeedsReview,
}

impl Status {
    pub(crate) const ALL: [Self; 8] = [
        Self::PaymentPending,
        Self::Authorized,
        Self::StockReserved,
        Self::ShipmentCreated,
        Self::Confirmed,
        Self::Cancelling,
        Self::Cancelled,
        Self::NeedsReview,
    ];

    /// For machines: what is stored and sent. Wire format.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PaymentPending => "payment-pending",
            Self::Authorized => "authorized",
            Self::StockReserved => "stock-reserved",
            Self::ShipmentCreated => "shipment-created",
            Self::Confirmed => "confirmed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::NeedsReview => "needs-review",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// For the customer.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::PaymentPending => "Processing your payment",
            Self::Authorized => "Payment accepted; setting your items aside",
            Self::StockReserved => "Your items are set aside; arranging the delivery",
            Self::ShipmentCreated => "The delivery is arranged; charging your card",
            Self::Confirmed => "Confirmed: your order is on its way",
            Self::Cancelling => "Cancelling your order; you get back whatever you paid",
            Self::Cancelled => "Cancelled; you pay nothing",
            Self::NeedsReview => "Something went wrong; we are looking into your order",
        }
    }

    /// Whether nothing more is expected. It may still change: a cancelled order whose payment was under way is seen as
    /// cancelled, then as cancelling when the payment is known, then as cancelled again.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::Confirmed | Self::Cancelled | Self::NeedsReview => true,
            Self::PaymentPending
            | Self::Authorized
            | Self::StockReserved
            | Self::ShipmentCreated
            | Self::Cancelling => false,
        }
    }
}

/// Why an order was cancelled, for the customer.
pub(crate) const fn reason_words(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::PaymentDeclined => "Your card was declined",
        CancelReason::OutOfStock => "Something you ordered is out of stock",
        CancelReason::NoCarrier => "No carrier delivers to your address",
        CancelReason::CaptureFailed => "Your card could not be charged",
        CancelReason::CustomerRequest => "You asked for it",
        CancelReason::DeadlinePassed => "It took us too long",
        _ => "For another reason",
    }
}

#[cfg(test)]
mod tests;
