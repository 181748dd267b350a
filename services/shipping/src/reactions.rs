//! What the service does on events.

use contracts::{
    OrderId,
    inventory::StockReserved,
    order::OrderConfirmed,
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{Envelope, Handled, HandlerError, any::Tx};

use crate::{Shipment, Shipping, Status, domain, store};

/// Finds a carrier for the order's parcel.
pub(crate) async fn create_shipment(_: &Shipping, tx: &mut Tx, order: &Envelope<StockReserved>) -> Handled {
    let (order_id, country) = (order.order_id, order.ship_to.country.clone());
    match domain::carrier(&country) {
        Some(carrier) => {
            let (carrier, tracking) = (carrier.to_owned(), domain::tracking(&country, order.meta.id));
            let shipment = Shipment { order_id, country, carrier, tracking, status: Status::Created };
            if !store::insert(tx, shipment).await? {
                return Err(HandlerError::transient(format!("the order {order_id} has a shipment already")));
            }
            tx.emit(&ShipmentCreated { order_id }).await?;
        }
        None => tx.emit(&ShipmentRejected { order_id }).await?,
    }
    Ok(())
}

/// The failure event of `create_shipment`.
pub(crate) fn give_up(order: &Envelope<StockReserved>) -> ShipmentRejected {
    ShipmentRejected { order_id: order.order_id }
}

/// Keeps the parcel here.
pub(crate) async fn cancel_shipment(_: &Shipping, tx: &mut Tx, shipment: &Envelope<ShipmentCreated>) -> Handled {
    let order_id = shipment.order_id;
    waited(order_id, store::cancel(tx, order_id).await?)?;
    tx.emit(&ShipmentCancelled { order_id }).await?;
    Ok(())
}

/// Hands the parcel over.
///
/// The confirmation was caused by the shipment, so that is here already. If it ever is missing, the event is retried
/// and then becomes a dead letter: a customer who paid waits for that parcel.
pub(crate) async fn dispatch_shipment(_: &Shipping, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
    waited(order.order_id, store::dispatch(tx, order.order_id).await?)
}

/// Only a parcel that waits for its carrier can be kept or handed over.
fn waited(order: OrderId, was_waiting: bool) -> Handled {
    if was_waiting {
        return Ok(());
    }
    Err(HandlerError::transient(format!("no shipment of the order {order} waits for its carrier")))
}
