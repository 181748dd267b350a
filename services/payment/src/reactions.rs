//! The reactions: four calls to the provider, and for each what is recorded and emitted.
//!
//! A cancellation may meet a capture that is running. The provider lets one of them win. If the void wins, the provider refuses
//! the capture, and `PaymentCaptureFailed` is emitted. If the capture wins, the void finds the amount charged and leaves it to the
//! refund, which waits until the capture is recorded.
//!
//! A call whose key the provider may have forgotten is not repeated: a `find_…` asks first whether it was carried out.

use contracts::{
    Money, OrderId,
    order::OrderPlaced,
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::ShipmentCreated,
};
use pavane::{
    Envelope, Handled, HandlerError,
    any::{Call, Tx},
};

use crate::{
    Payment,
    domain::Account,
    psp::{Authorization, Cancellation, Capture},
    store,
};

pub(crate) async fn authorize(
    payment: &Payment,
    call: &Call<'_>,
    order: &Envelope<OrderPlaced>,
) -> Result<Authorization, HandlerError> {
    payment.psp.authorize(call, order.order_id, &order.total, &order.card).await
}

pub(crate) async fn find_authorization(
    payment: &Payment,
    call: &Call<'_>,
    order: &Envelope<OrderPlaced>,
) -> Result<Option<Authorization>, HandlerError> {
    payment.psp.find_authorization(call, order.order_id).await
}

pub(crate) async fn record_authorization(
    _: &Payment,
    tx: &mut Tx,
    order: &Envelope<OrderPlaced>,
    answer: Authorization,
) -> Handled {
    let order_id = order.order_id;
    match answer {
        Authorization::Authorized { intent_id } => {
            let account = Account::open(order.total.clone(), true, Some(intent_id), None);
            store::open(tx, order_id, &account).await?;
            let (amount, details) = (order.total.clone(), order.details.clone());
            tx.emit(&PaymentAuthorized { order_id, amount, details }).await?;
        }
        Authorization::Declined { intent_id, reason } => {
            let account = Account::open(order.total.clone(), false, intent_id, Some(reason));
            store::open(tx, order_id, &account).await?;
            tx.emit(&PaymentDeclined { order_id }).await?;
        }
    }
    Ok(())
}

/// What a capture is of, and what came of it.
pub(crate) struct Captured {
    amount: Money,
    answer: Capture,
}

pub(crate) async fn capture(
    payment: &Payment,
    call: &Call<'_>,
    shipment: &Envelope<ShipmentCreated>,
) -> Result<Captured, HandlerError> {
    let Authorized { intent_id, amount } = authorized(call, shipment.order_id).await?;
    let answer = payment.psp.capture(call, &intent_id).await?;
    Ok(Captured { amount, answer })
}

pub(crate) async fn find_capture(
    payment: &Payment,
    call: &Call<'_>,
    shipment: &Envelope<ShipmentCreated>,
) -> Result<Option<Captured>, HandlerError> {
    let Authorized { intent_id, amount } = authorized(call, shipment.order_id).await?;
    Ok(payment.psp.find_capture(call, &intent_id).await?.map(|answer| Captured { amount, answer }))
}

pub(crate) async fn record_capture(
    _: &Payment,
    tx: &mut Tx,
    shipment: &Envelope<ShipmentCreated>,
    Captured { amount, answer }: Captured,
) -> Handled {
    let order_id = shipment.order_id;
    match answer {
        Capture::Captured => {
            store::captured(tx, order_id, &amount).await?;
            tx.emit(&PaymentCaptured { order_id, amount }).await?;
        }
        Capture::Failed { reason } => {
            store::capture_failed(tx, order_id, &reason).await?;
            tx.emit(&PaymentCaptureFailed { order_id }).await?;
        }
    }
    Ok(())
}

pub(crate) async fn void(
    payment: &Payment,
    call: &Call<'_>,
    authorized: &Envelope<PaymentAuthorized>,
) -> Result<Cancellation, HandlerError> {
    let Authorized { intent_id, .. } = self::authorized(call, authorized.order_id).await?;
    payment.psp.cancel(call, &intent_id).await
}

pub(crate) async fn find_void(
    payment: &Payment,
    call: &Call<'_>,
    authorized: &Envelope<PaymentAuthorized>,
) -> Result<Option<Cancellation>, HandlerError> {
    let Authorized { intent_id, .. } = self::authorized(call, authorized.order_id).await?;
    payment.psp.find_cancellation(call, &intent_id).await
}

pub(crate) async fn record_void(
    _: &Payment,
    tx: &mut Tx,
    authorized: &Envelope<PaymentAuthorized>,
    answer: Cancellation,
) -> Handled {
    let PaymentAuthorized { order_id, amount, .. } = &authorized.body;
    match answer {
        Cancellation::Canceled => {
            store::voided(tx, *order_id, amount).await?;
            tx.emit(&PaymentVoided { order_id: *order_id, amount: amount.clone() }).await?;
        }
        // The refund's business.
        Cancellation::Captured => {}
    }
    Ok(())
}

pub(crate) async fn refund(
    payment: &Payment,
    call: &Call<'_>,
    captured: &Envelope<PaymentCaptured>,
) -> Result<(), HandlerError> {
    let Authorized { intent_id, .. } = authorized(call, captured.order_id).await?;
    payment.psp.refund(call, &intent_id).await
}

pub(crate) async fn find_refund(
    payment: &Payment,
    call: &Call<'_>,
    captured: &Envelope<PaymentCaptured>,
) -> Result<Option<()>, HandlerError> {
    let Authorized { intent_id, .. } = authorized(call, captured.order_id).await?;
    payment.psp.find_refund(call, &intent_id).await
}

pub(crate) async fn record_refund(_: &Payment, tx: &mut Tx, captured: &Envelope<PaymentCaptured>, (): ()) -> Handled {
    let PaymentCaptured { order_id, amount } = &captured.body;
    store::refunded(tx, *order_id, amount).await?;
    tx.emit(&PaymentRefunded { order_id: *order_id, amount: amount.clone() }).await?;
    Ok(())
}

/// What was set aside for an order, as the provider calls it.
struct Authorized {
    intent_id: String,
    amount: Money,
}

/// Reads what capture, void and refund need of the authorisation: the provider's id of it. The service's own row has it, for it
/// was committed with `PaymentAuthorized`, which all of them follow. Asking the provider by order would depend on its search,
/// which real ones update later.
async fn authorized(call: &Call<'_>, order_id: OrderId) -> Result<Authorized, HandlerError> {
    let account = store::account(&mut *call.db().await?, order_id).await?;
    match account {
        Some(Account { intent_id: Some(intent_id), amount, authorized: 1.., .. }) => {
            Ok(Authorized { intent_id, amount })
        }
        // A shipment without a payment: nobody of this choreography sends that, and no retry helps.
        _ => Err(HandlerError::reject(format!("nothing was authorised for the order {order_id}"))),
    }
}
