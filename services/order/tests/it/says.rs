//! What the other services say, as the tests say it for them.

use contracts::{
    OrderId,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::OrderDeadlinePassed,
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane::{Event, SagaId};
use pavane_contract::RawEnvelope;
use pavane_testkit::envelope;
use serde_json::json;

use crate::world::{eur, fine};

/// Everything that other services may say about an order.
pub(crate) struct Says(pub(crate) OrderId);

impl Says {
    fn details() -> contracts::OrderDetails {
        serde_json::from_value(json!({
            "lines": [{ "sku": "TEA-1", "quantity": 2, "unit_price": { "minor": 450, "currency": "EUR" } }],
            "ship_to": fine()["ship_to"],
        }))
        .unwrap()
    }

    fn event<E: Event>(&self, event: &E) -> RawEnvelope {
        envelope(SagaId::from(self.0.as_uuid()), event)
    }

    pub(crate) fn authorized(&self) -> RawEnvelope {
        self.event(&PaymentAuthorized { order_id: self.0, amount: eur(900), details: Self::details() })
    }

    pub(crate) fn declined(&self) -> RawEnvelope {
        self.event(&PaymentDeclined { order_id: self.0 })
    }

    pub(crate) fn reserved(&self) -> RawEnvelope {
        self.event(&StockReserved { order_id: self.0, ship_to: Self::details().ship_to })
    }

    pub(crate) fn out_of_stock(&self) -> RawEnvelope {
        self.event(&StockRejected { order_id: self.0, sku: "TEA-1".into() })
    }

    pub(crate) fn shipment_created(&self) -> RawEnvelope {
        self.event(&ShipmentCreated { order_id: self.0 })
    }

    pub(crate) fn no_carrier(&self) -> RawEnvelope {
        self.event(&ShipmentRejected { order_id: self.0 })
    }

    pub(crate) fn captured(&self) -> RawEnvelope {
        self.event(&PaymentCaptured { order_id: self.0, amount: eur(900) })
    }

    pub(crate) fn capture_failed(&self) -> RawEnvelope {
        self.event(&PaymentCaptureFailed { order_id: self.0 })
    }

    pub(crate) fn voided(&self) -> RawEnvelope {
        self.event(&PaymentVoided { order_id: self.0, amount: eur(900) })
    }

    pub(crate) fn refunded(&self) -> RawEnvelope {
        self.event(&PaymentRefunded { order_id: self.0, amount: eur(900) })
    }

    pub(crate) fn released(&self) -> RawEnvelope {
        self.event(&StockReleased { order_id: self.0 })
    }

    pub(crate) fn shipment_cancelled(&self) -> RawEnvelope {
        self.event(&ShipmentCancelled { order_id: self.0 })
    }

    pub(crate) fn deadline_passed(&self) -> RawEnvelope {
        self.event(&OrderDeadlinePassed { order_id: self.0 })
    }
}
