use std::{future::Future, marker::PhantomData, slice, sync::Arc};

use pavane_contract::{Envelope, Event, RawEnvelope};

use crate::{
    Handled, HandlerError, IdempotencyKey,
    input::Single,
    work::{Pending, caught},
};

/// A function that does something outside: `async fn(&State, &IdempotencyKey, &Envelope<E>) -> Handled`.
///
/// The key is the same in every attempt; pass it to an API that has idempotency keys. A client's time-out should be shorter than
/// the [`timeout`](crate::Tuning::timeout), at which the function is dropped. Implemented for every such function; you never
/// implement it.
pub trait Deliver<'a, S, E>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = Handled> + Send + 'a;

    /// Calls it.
    fn deliver(&self, state: &'a S, key: &'a IdempotencyKey, event: &'a Envelope<E>) -> Self::Future;
}

impl<'a, S, E, F, Fut> Deliver<'a, S, E> for F
where
    S: 'a,
    E: 'a,
    F: Fn(&'a S, &'a IdempotencyKey, &'a Envelope<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Handled> + Send + 'a,
{
    type Future = Fut;

    fn deliver(&self, state: &'a S, key: &'a IdempotencyKey, event: &'a Envelope<E>) -> Fut {
        self(state, key, event)
    }
}

/// The same for an event of any type.
pub(super) trait Work<S>: Send + Sync {
    fn run<'a>(&'a self, state: &'a S, key: &'a IdempotencyKey, event: &'a RawEnvelope) -> Pending<'a, ()>;
}

struct WorkOf<H, E>(H, PhantomData<fn() -> E>);

pub(super) fn of<S, E, H>(handler: H) -> Arc<dyn Work<S>>
where
    S: Send + Sync + 'static,
    E: Event,
    H: for<'a> Deliver<'a, S, E>,
{
    Arc::new(WorkOf(handler, PhantomData))
}

impl<S, E, H> Work<S> for WorkOf<H, E>
where
    S: Send + Sync + 'static,
    E: Event,
    H: for<'a> Deliver<'a, S, E>,
{
    fn run<'a>(&'a self, state: &'a S, key: &'a IdempotencyKey, event: &'a RawEnvelope) -> Pending<'a, ()> {
        Box::pin(async move {
            let decoded = event.decode::<E>().map_err(HandlerError::reject)?;
            caught::<Single<E>, _>(slice::from_ref(event), self.0.deliver(state, key, &decoded)).await
        })
    }
}
