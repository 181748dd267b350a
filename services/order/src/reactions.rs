//! The reactions to other services' events: they record facts, and decide how the order ends.

use contracts::{
    OrderId,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{CancelReason, OrderDeadlinePassed},
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{Decision, Envelope, Event, Handled, HandlerError, any::Tx};

use crate::{
    Orders,
    domain::Fact,
    order::{Header, order_of},
    store::{self, Recorded},
};

/// An event that is a fact about an order.
pub(crate) trait Tells: Event {
    const FACT: Fact;
}

/// An event that is a reason to cancel.
pub(crate) trait Ends: Event {
    const REASON: CancelReason;
    /// The fact that it is beside that. A passed deadline is none: the order may have met it.
    const FACT: Option<Fact>;
}

macro_rules! tells {
    ($($event:ident => $fact:ident),+ $(,)?) => {
        $(impl Tells for $event {
            const FACT: Fact = Fact::$fact;
        })+
    };
}

macro_rules! ends {
    ($($event:ident => $reason:ident, $fact:expr);+ $(;)?) => {
        $(impl Ends for $event {
            const REASON: CancelReason = CancelReason::$reason;
            const FACT: Option<Fact> = $fact;
        })+
    };
}

tells! {
    PaymentAuthorized => Authorized,
    StockReserved => Reserved,
    ShipmentCreated => ShipmentCreated,
    PaymentVoided => Voided,
    PaymentRefunded => Refunded,
    StockReleased => Released,
    ShipmentCancelled => ShipmentCancelled,
}

ends! {
    PaymentDeclined => PaymentDeclined, Some(Fact::Declined);
    PaymentCaptureFailed => CaptureFailed, Some(Fact::CaptureFailed);
    StockRejected => OutOfStock, Some(Fact::OutOfStock);
    ShipmentRejected => NoCarrier, Some(Fact::NoCarrier);
    OrderDeadlinePassed => DeadlinePassed, None;
}

/// Keeps track of how far the order is.
pub(crate) async fn track<E: Tells>(orders: &Orders, tx: &mut Tx, event: &Envelope<E>) -> Handled {
    let order = order(event)?;
    record(tx, order, E::FACT).await?;
    orders.changes.announce_after(tx, order);
    Ok(())
}

/// The money is there, so the order is confirmed, unless it was cancelled before: then the charge is one more thing that
/// is undone.
pub(crate) async fn confirm(orders: &Orders, tx: &mut Tx, captured: &Envelope<PaymentCaptured>) -> Handled {
    let header = header(tx, captured).await?;
    let order = header.order_id;
    // The outcome before the row, here and everywhere: two that take them in different orders would deadlock.
    let outcome = tx.decide(&header.confirmed()).await?;
    record(tx, order, Fact::Captured).await?;
    if outcome == Decision::Won {
        record(tx, order, Fact::Confirmed).await?;
    }
    orders.changes.announce_after(tx, order);
    Ok(())
}

/// The order can't be fulfilled, so it is cancelled, unless its end was decided before.
pub(crate) async fn cancel<E: Ends>(orders: &Orders, tx: &mut Tx, event: &Envelope<E>) -> Handled {
    let header = header(tx, event).await?;
    let order = header.order_id;
    let outcome = tx.decide(&header.cancelled(E::REASON)).await?;
    if let Some(fact) = E::FACT {
        record(tx, order, fact).await?;
    }
    if outcome == Decision::Won {
        store::set_cancel_reason(tx, order, E::REASON).await?;
        record(tx, order, Fact::Cancelled).await?;
    }
    orders.changes.announce_after(tx, order);
    Ok(())
}

/// The order that an event is about, which is also its saga: an outcome counts for one saga, so an event that names an
/// order from within another saga could bring it a second one.
fn order<E: Event>(event: &Envelope<E>) -> Result<OrderId, HandlerError> {
    let order = order_of(event.meta.cause.saga);
    if event.key().as_str() == order.to_string() {
        return Ok(order);
    }
    Err(HandlerError::reject(format!(
        "the event is about the order {}, but its correlation id is {order}: the saga of an order has the order's id",
        event.key()
    )))
}

async fn header<E: Event>(tx: &mut Tx, event: &Envelope<E>) -> Result<Header, HandlerError> {
    let order = order(event)?;
    store::header(tx, order).await?.ok_or_else(|| no_such_order(order))
}

async fn record(tx: &mut Tx, order: OrderId, fact: Fact) -> Handled {
    match store::record(tx, order, fact).await? {
        Recorded::Known => Ok(()),
        Recorded::NoSuchOrder => Err(no_such_order(order)),
    }
}

/// The row is committed before `OrderPlaced` is published. So an event about an order that isn't there does not follow from
/// an order of this service, and a retry would not help.
fn no_such_order(order: OrderId) -> HandlerError {
    HandlerError::reject(format!("there is no order {order} here"))
}

#[cfg(test)]
mod tests;
