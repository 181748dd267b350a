//! Every reaction under every fault. The snapshot says which.

use contracts::{
    OrderId,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{OrderDeadlinePassed, OrderPlaced},
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use order::Orders;
use pavane::{Event, SagaId, any::Db};
use pavane_contract::RawEnvelope;
use pavane_testkit::{VirtualClock, fault_matrix};

use crate::says::Says;

/// An order that has just been placed, in the saga that all examples of the matrix belong to.
async fn placed(db: Db, order: OrderId) {
    let insert = sqlx::query(
        "insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at)
         values ($1, 'ada@example.com', 'EUR', 900, '[]', 1, 'payment-pending', 1, 0, 0)",
    );
    insert.bind(order.to_string()).execute(db.writers()).await.unwrap();
    let history = sqlx::query("insert into order_history (order_id, version, fact, recorded_at) values ($1, 1, $2, 0)");
    history.bind(order.to_string()).bind(OrderPlaced::NAME).execute(db.writers()).await.unwrap();
}

fn body<E: Event>(event: &RawEnvelope) -> E {
    event.decode().unwrap().body
}

#[tokio::test]
async fn nothing_that_fails_does_harm() {
    let saga = SagaId::new(&VirtualClock::new(0));
    let order = OrderId::from(saga.as_uuid());
    let says = Says(order);
    let report = fault_matrix(|| order::service(Orders::default()))
        .saga(saga)
        .given(move |db| placed(db, order))
        .event(&body::<PaymentAuthorized>(&says.authorized()))
        .event(&body::<PaymentDeclined>(&says.declined()))
        .event(&body::<StockReserved>(&says.reserved()))
        .event(&body::<StockRejected>(&says.out_of_stock()))
        .event(&body::<ShipmentCreated>(&says.shipment_created()))
        .event(&body::<ShipmentRejected>(&says.no_carrier()))
        .event(&body::<PaymentCaptured>(&says.captured()))
        .event(&body::<PaymentCaptureFailed>(&says.capture_failed()))
        .event(&body::<PaymentVoided>(&says.voided()))
        .event(&body::<PaymentRefunded>(&says.refunded()))
        .event(&body::<StockReleased>(&says.released()))
        .event(&body::<ShipmentCancelled>(&says.shipment_cancelled()))
        .event(&body::<OrderDeadlinePassed>(&says.deadline_passed()))
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
}
