//! Handlers with their types erased: one shape for a reaction on any event.

use std::{any::Any, future::Future, marker::PhantomData, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures_util::FutureExt as _;
use pavane_contract::{RawEnvelope, codec};
use pavane_outbox::{Database, Tx};

use crate::{
    Call,
    handler::{Effect, Handler, HandlerError, Record},
    input::Input,
};

pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send + 'a>>;

/// An effect's answer, on its way from the call to the record.
pub(crate) type Answer = Box<dyn Any + Send>;

/// What a reaction does.
pub(crate) enum Work<S, DB: Database> {
    /// Handle the event, or the events of a join, in the transaction.
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

impl<S, DB: Database> Work<S, DB> {
    /// Of a join: fails where an event doesn't fit its type.
    pub(crate) fn check(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        match self {
            Self::Local(work) => work.check(event),
            Self::External(work) => work.check(event),
        }
    }
}

pub(crate) trait Local<S, DB: Database>: Send + Sync {
    /// Of a join: fails where an event doesn't fit its type.
    fn check(&self, event: &RawEnvelope) -> Result<(), codec::Error>;

    fn handle<'a>(&'a self, state: &'a S, tx: &'a mut Tx<DB>, given: &'a [RawEnvelope]) -> Pending<'a, ()>;
}

pub(crate) trait External<S, DB: Database>: Send + Sync {
    /// As [`Local::check`].
    fn check(&self, event: &RawEnvelope) -> Result<(), codec::Error>;

    fn call<'a>(&'a self, state: &'a S, call: &'a Call<'a, DB>, given: &'a [RawEnvelope]) -> Pending<'a, Answer>;

    fn record<'a>(
        &'a self,
        state: &'a S,
        tx: &'a mut Tx<DB>,
        given: &'a [RawEnvelope],
        answer: Answer,
    ) -> Pending<'a, ()>;
}

/// Finds out whether a call was carried out.
pub(crate) trait LookUp<S, DB: Database>: Send + Sync {
    fn look_up<'a>(
        &'a self,
        state: &'a S,
        call: &'a Call<'a, DB>,
        given: &'a [RawEnvelope],
    ) -> Pending<'a, Option<Answer>>;
}

struct LocalOf<H, I>(H, PhantomData<fn() -> I>);

struct ExternalOf<C, R, I, T>(C, R, PhantomData<fn() -> (I, T)>);

struct LookUpOf<L, I, T>(L, PhantomData<fn() -> (I, T)>);

pub(crate) fn local<S, DB, I, H>(handler: H) -> Work<S, DB>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    H: for<'a> Handler<'a, S, DB, I>,
{
    Work::Local(Arc::new(LocalOf(handler, PhantomData)))
}

pub(crate) fn external<S, DB, I, T, C, R>(call: C, record: R) -> Work<S, DB>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, I, T>,
    R: for<'a> Record<'a, S, DB, I, T>,
{
    Work::External(Arc::new(ExternalOf(call, record, PhantomData)))
}

pub(crate) fn look_up<S, DB, I, T, L>(look_up: L) -> Arc<dyn LookUp<S, DB>>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    T: Send + 'static,
    L: for<'a> Effect<'a, S, DB, I, Option<T>>,
{
    Arc::new(LookUpOf(look_up, PhantomData))
}

impl<S, DB, I, T, L> LookUp<S, DB> for LookUpOf<L, I, T>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    T: Send + 'static,
    L: for<'a> Effect<'a, S, DB, I, Option<T>>,
{
    fn look_up<'a>(
        &'a self,
        state: &'a S,
        call: &'a Call<'a, DB>,
        given: &'a [RawEnvelope],
    ) -> Pending<'a, Option<Answer>> {
        Box::pin(async move {
            let mut place = I::Place::default();
            let argument = I::read(given, &mut place).map_err(HandlerError::reject)?;
            let found = caught::<I, _>(given, self.0.call(state, call, argument)).await?;
            Ok(found.map(|answer| Box::new(answer) as Answer))
        })
    }
}

impl<S, DB, I, H> Local<S, DB> for LocalOf<H, I>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    H: for<'a> Handler<'a, S, DB, I>,
{
    fn check(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        I::check(event)
    }

    fn handle<'a>(&'a self, state: &'a S, tx: &'a mut Tx<DB>, given: &'a [RawEnvelope]) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut place = I::Place::default();
            let argument = I::read(given, &mut place).map_err(HandlerError::reject)?;
            caught::<I, _>(given, self.0.handle(state, tx, argument)).await
        })
    }
}

impl<S, DB, I, T, C, R> External<S, DB> for ExternalOf<C, R, I, T>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, I, T>,
    R: for<'a> Record<'a, S, DB, I, T>,
{
    fn check(&self, event: &RawEnvelope) -> Result<(), codec::Error> {
        I::check(event)
    }

    fn call<'a>(&'a self, state: &'a S, call: &'a Call<'a, DB>, given: &'a [RawEnvelope]) -> Pending<'a, Answer> {
        Box::pin(async move {
            let mut place = I::Place::default();
            let argument = I::read(given, &mut place).map_err(HandlerError::reject)?;
            let answer = caught::<I, _>(given, self.0.call(state, call, argument)).await?;
            Ok(Box::new(answer) as Answer)
        })
    }

    fn record<'a>(
        &'a self,
        state: &'a S,
        tx: &'a mut Tx<DB>,
        given: &'a [RawEnvelope],
        answer: Answer,
    ) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut place = I::Place::default();
            let argument = I::read(given, &mut place).map_err(HandlerError::reject)?;
            // `call` of the same value boxed it.
            let Ok(answer) = answer.downcast::<T>() else {
                return Err(HandlerError::reject("the effect's answer has another type than the record wants"));
            };
            caught::<I, _>(given, self.1.record(state, tx, argument, *answer)).await
        })
    }
}

/// Runs a handler. A panic is a failure on this event; the others go on. The panic's message goes into logs and dead letters, so
/// the personal values of the events are removed from it.
pub(crate) async fn caught<I: Input, T>(
    given: &[RawEnvelope],
    work: impl Future<Output = Result<T, HandlerError>>,
) -> Result<T, HandlerError> {
    let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(HandlerError::transient(format!("the handler panicked: {text}")))
    });
    result.map_err(|error| error.without_personal(&I::fields(), given))
}
