//! Handlers with their types erased: one shape for a reaction on any event.

use std::{any::Any, future::Future, marker::PhantomData, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures_util::FutureExt as _;
use pavane_contract::{Event, RawEnvelope};
use pavane_outbox::{Database, Tx};

use crate::{
    Call,
    handler::{Effect, Handler, HandlerError, Record},
};

pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send + 'a>>;

/// An effect's answer, on its way from the call to the record.
pub(crate) type Answer = Box<dyn Any + Send>;

/// What a reaction does.
pub(crate) enum Work<S, DB: Database> {
    /// Handle the event in the transaction.
    Local(Arc<dyn Local<S, DB>>),
    /// Call something outside, then record the answer in the transaction.
    External(Arc<dyn External<S, DB>>),
}

impl<S, DB: Database> Clone for Work<S, DB> {
    fn clone(&self) -> Self {
        match self {
            Self::Local(work) => Self::Local(Arc::clone(work)),
            Self::External(work) => Self::External(Arc::clone(work)),
        }
    }
}

pub(crate) trait Local<S, DB: Database>: Send + Sync {
    fn handle<'a>(&'a self, state: &'a S, tx: &'a mut Tx<DB>, event: &'a RawEnvelope) -> Pending<'a, ()>;
}

pub(crate) trait External<S, DB: Database>: Send + Sync {
    fn call<'a>(&'a self, state: &'a S, call: &'a Call<'a, DB>, event: &'a RawEnvelope) -> Pending<'a, Answer>;

    fn record<'a>(
        &'a self,
        state: &'a S,
        tx: &'a mut Tx<DB>,
        event: &'a RawEnvelope,
        answer: Answer,
    ) -> Pending<'a, ()>;
}

/// Finds out whether a call was carried out.
pub(crate) trait LookUp<S, DB: Database>: Send + Sync {
    fn look_up<'a>(
        &'a self,
        state: &'a S,
        call: &'a Call<'a, DB>,
        event: &'a RawEnvelope,
    ) -> Pending<'a, Option<Answer>>;
}

struct LocalOf<H, E>(H, PhantomData<fn() -> E>);

struct ExternalOf<C, R, E, T>(C, R, PhantomData<fn() -> (E, T)>);

struct LookUpOf<L, E, T>(L, PhantomData<fn() -> (E, T)>);

pub(crate) fn local<S, DB, E, H>(handler: H) -> Work<S, DB>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    H: for<'a> Handler<'a, S, DB, E>,
{
    Work::Local(Arc::new(LocalOf(handler, PhantomData)))
}

pub(crate) fn external<S, DB, E, T, C, R>(call: C, record: R) -> Work<S, DB>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, E, T>,
    R: for<'a> Record<'a, S, DB, E, T>,
{
    Work::External(Arc::new(ExternalOf(call, record, PhantomData)))
}

pub(crate) fn look_up<S, DB, E, T, L>(look_up: L) -> Arc<dyn LookUp<S, DB>>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    T: Send + 'static,
    L: for<'a> Effect<'a, S, DB, E, Option<T>>,
{
    Arc::new(LookUpOf(look_up, PhantomData))
}

impl<S, DB, E, T, L> LookUp<S, DB> for LookUpOf<L, E, T>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    T: Send + 'static,
    L: for<'a> Effect<'a, S, DB, E, Option<T>>,
{
    fn look_up<'a>(
        &'a self,
        state: &'a S,
        call: &'a Call<'a, DB>,
        event: &'a RawEnvelope,
    ) -> Pending<'a, Option<Answer>> {
        Box::pin(async move {
            let (body, event) = (&event.body, event.decode::<E>().map_err(HandlerError::reject)?);
            let found = caught::<E, _>(body, self.0.call(state, call, &event)).await?;
            Ok(found.map(|answer| Box::new(answer) as Answer))
        })
    }
}

impl<S, DB, E, H> Local<S, DB> for LocalOf<H, E>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    H: for<'a> Handler<'a, S, DB, E>,
{
    fn handle<'a>(&'a self, state: &'a S, tx: &'a mut Tx<DB>, event: &'a RawEnvelope) -> Pending<'a, ()> {
        Box::pin(async move {
            let (body, event) = (&event.body, event.decode::<E>().map_err(HandlerError::reject)?);
            caught::<E, _>(body, self.0.handle(state, tx, &event)).await
        })
    }
}

impl<S, DB, E, T, C, R> External<S, DB> for ExternalOf<C, R, E, T>
where
    S: Send + Sync + 'static,
    DB: Database,
    E: Event,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, E, T>,
    R: for<'a> Record<'a, S, DB, E, T>,
{
    fn call<'a>(&'a self, state: &'a S, call: &'a Call<'a, DB>, event: &'a RawEnvelope) -> Pending<'a, Answer> {
        Box::pin(async move {
            let (body, event) = (&event.body, event.decode::<E>().map_err(HandlerError::reject)?);
            let answer = caught::<E, _>(body, self.0.call(state, call, &event)).await?;
            Ok(Box::new(answer) as Answer)
        })
    }

    fn record<'a>(
        &'a self,
        state: &'a S,
        tx: &'a mut Tx<DB>,
        event: &'a RawEnvelope,
        answer: Answer,
    ) -> Pending<'a, ()> {
        Box::pin(async move {
            let (body, event) = (&event.body, event.decode::<E>().map_err(HandlerError::reject)?);
            // `call` of the same value boxed it.
            let Ok(answer) = answer.downcast::<T>() else {
                return Err(HandlerError::reject("the effect's answer has another type than the record wants"));
            };
            caught::<E, _>(body, self.1.record(state, tx, &event, *answer)).await
        })
    }
}

/// Runs a handler. A panic is a failure on this event; the others go on. The panic's message goes into logs and dead letters, so
/// the event's personal values are removed from it.
pub(crate) async fn caught<E: Event, T>(
    body: &[u8],
    work: impl Future<Output = Result<T, HandlerError>>,
) -> Result<T, HandlerError> {
    let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(HandlerError::transient(format!("the handler panicked: {text}")))
    });
    result.map_err(|error| error.without_personal::<E>(body))
}
