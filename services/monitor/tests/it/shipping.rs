//! A shipping service whose carrier can be told to fail: what the monitor is there for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use contracts::{
    inventory::StockReserved,
    order::{OrderCancelled, OrderConfirmed},
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{
    Envelope, Handled, HandlerError,
    any::{Service, Tx},
    on, undo,
};

/// How long a shipment may take: short, so that a test needn't wait long for a saga to be stuck.
pub(crate) const ALLOWED: Duration = Duration::from_secs(3);

/// Whether the carrier takes parcels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carrier {
    pub(crate) on_strike: Arc<AtomicBool>,
    /// It does not give back what it has taken.
    pub(crate) keeps: Arc<AtomicBool>,
}

/// The shop's shipping service, as far as the others can tell.
pub(crate) fn service(carrier: Carrier) -> Service<Carrier> {
    Service::new("shipping", carrier)
        .react(
            "create-shipment",
            on(create_shipment)
                .emits_one_of::<(ShipmentCreated, ShipmentRejected)>()
                .tuned(|tuning| tuning.stuck_after = ALLOWED),
        )
        .react("cancel-shipment", undo(cancel_shipment).when::<OrderCancelled>().emits::<ShipmentCancelled>())
        .react("dispatch-shipment", on(dispatch_shipment))
}

async fn create_shipment(carrier: &Carrier, tx: &mut Tx, order: &Envelope<StockReserved>) -> Handled {
    if carrier.on_strike.load(Ordering::Relaxed) {
        return Err(HandlerError::reject("the carrier is on strike"));
    }
    tx.emit(&ShipmentCreated { order_id: order.order_id }).await?;
    Ok(())
}

async fn cancel_shipment(carrier: &Carrier, tx: &mut Tx, shipment: &Envelope<ShipmentCreated>) -> Handled {
    if carrier.keeps.load(Ordering::Relaxed) {
        return Err(HandlerError::reject("the carrier keeps the parcel"));
    }
    tx.emit(&ShipmentCancelled { order_id: shipment.order_id }).await?;
    Ok(())
}

async fn dispatch_shipment(_: &Carrier, _: &mut Tx, _: &Envelope<OrderConfirmed>) -> Handled {
    Ok(())
}
