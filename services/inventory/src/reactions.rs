//! What the service does on events.

use contracts::{
    OrderId, Sku,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::OrderConfirmed,
    payment::PaymentAuthorized,
};
use pavane::{Envelope, Handled, HandlerError, any::Tx};

use crate::{
    Inventory, domain,
    store::{self, Reserved},
};

/// Holds everything that was ordered, or nothing.
pub(crate) async fn reserve_stock(_: &Inventory, tx: &mut Tx, order: &Envelope<PaymentAuthorized>) -> Handled {
    let order_id = order.order_id;
    let demand = domain::demand(&order.details.lines).map_err(HandlerError::reject)?;
    match store::reserve(tx, order_id, &demand).await? {
        Reserved::All => tx.emit(&StockReserved { order_id, ship_to: order.details.ship_to.clone() }).await?,
        Reserved::Lacks(sku) => tx.emit(&StockRejected { order_id, sku }).await?,
        Reserved::Before => {
            return Err(HandlerError::transient(format!("the order {order_id} has a reservation already")));
        }
    }
    Ok(())
}

/// The failure event of `reserve_stock`: nothing is held, whatever the reason.
pub(crate) fn give_up(order: &Envelope<PaymentAuthorized>) -> StockRejected {
    let first = order.details.lines.first();
    let sku = first.map_or_else(|| Sku::from(String::new()), |line| line.sku.clone());
    StockRejected { order_id: order.order_id, sku }
}

/// Puts what was held for an order back on sale.
pub(crate) async fn release_stock(_: &Inventory, tx: &mut Tx, reserved: &Envelope<StockReserved>) -> Handled {
    let order_id = reserved.order_id;
    held(order_id, store::release(tx, order_id).await?)?;
    tx.emit(&StockReleased { order_id }).await?;
    Ok(())
}

/// Takes what was held for an order off the shelf for good.
///
/// The confirmation was caused by the reservation, so that is here already. If it ever is missing, the event is retried
/// and then becomes a dead letter: goods that left without a record would never be found again.
pub(crate) async fn ship_stock(_: &Inventory, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
    held(order.order_id, store::ship(tx, order.order_id).await?)
}

/// Only what is held can be released or shipped.
fn held(order: OrderId, was_held: bool) -> Handled {
    if was_held { Ok(()) } else { Err(HandlerError::transient(format!("nothing is held for the order {order}"))) }
}
