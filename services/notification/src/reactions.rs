//! What the service does: one letter for each outcome of an order.

use contracts::order::{OrderCancelled, OrderConfirmed};
use pavane::{
    Envelope, Handled, HandlerError,
    any::{Call, Tx},
};

use crate::{Notification, domain::Letter, mail::Sent, store};

pub(crate) async fn send_confirmation(
    notification: &Notification,
    call: &Call<'_>,
    order: &Envelope<OrderConfirmed>,
) -> Result<Sent, HandlerError> {
    notification.mailer.deliver(call, &Letter::confirmation(order), order.meta.time).await
}

pub(crate) async fn record_confirmation(
    _: &Notification,
    tx: &mut Tx,
    order: &Envelope<OrderConfirmed>,
    sent: Sent,
) -> Handled {
    Ok(store::sent(tx, &sent.message_id, &Letter::confirmation(order)).await?)
}

pub(crate) async fn send_cancellation(
    notification: &Notification,
    call: &Call<'_>,
    order: &Envelope<OrderCancelled>,
) -> Result<Sent, HandlerError> {
    notification.mailer.deliver(call, &Letter::cancellation(order), order.meta.time).await
}

pub(crate) async fn record_cancellation(
    _: &Notification,
    tx: &mut Tx,
    order: &Envelope<OrderCancelled>,
    sent: Sent,
) -> Handled {
    Ok(store::sent(tx, &sent.message_id, &Letter::cancellation(order)).await?)
}
