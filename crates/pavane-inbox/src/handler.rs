use std::{error::Error as StdError, fmt, future::Future, iter::successors, time::Duration};

use pavane_contract::{Envelope, Event, RawEnvelope, personal::EventFields};
use pavane_outbox::{Database, Failure, Tx};

use crate::{
    All, Call, Each, Every, dedupe,
    input::{Input, Parts, Single},
};

/// What a handler returns: `Ok`, a `?` that is tried again, or [`HandlerError::reject`].
///
/// A business "no" is none of these: it is an event.
pub type Handled = Result<(), HandlerError>;

/// Why a handler didn't succeed.
///
/// Any error becomes one through `?`. Errors of the database connection are recognised: the event waits for the database, and no
/// attempt is counted.
pub struct HandlerError {
    kind: Kind,
    cause: Box<dyn StdError + Send + Sync>,
    /// The text that replaces the cause's own, because that quotes personal data.
    told: Option<Box<str>>,
}

/// A handler's timeout ended.
#[derive(Debug, thiserror::Error)]
#[error("the handler took longer than {0:?}")]
pub(crate) struct Overdue(pub(crate) Duration);

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Try again, a limited number of times.
    Transient,
    /// Never try again.
    Reject,
    /// Something that the handler needs isn't there. Wait for it; this doesn't count as an attempt.
    Unavailable,
    /// As `Unavailable`, and the open connections lead to a database that is read-only.
    ReadOnly,
    /// The database rolled it back in favour of another transaction. Try again at once.
    Conflict,
    /// Another instance holds the claim for so long. Try again then; this doesn't count as an attempt.
    Busy(Duration),
}

impl HandlerError {
    /// The event can never be handled: it becomes a dead letter at once, without further attempts.
    ///
    /// From an effect it also means that the effect did *not* happen. Where that isn't known, use
    /// [`unavailable`](Self::unavailable).
    pub fn reject(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Reject, cause.into())
    }

    /// Something that the handler needs (a provider, a server) isn't there, or didn't answer. The event waits for it without
    /// using up its attempts. The reaction pauses after several such failures in a row.
    pub fn unavailable(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Unavailable, cause.into())
    }

    /// The handler failed. It is tried again with backoff, a limited number of times. `?` does the same.
    pub fn transient(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Transient, cause.into())
    }

    fn new(kind: Kind, cause: Box<dyn StdError + Send + Sync>) -> Self {
        Self { kind, cause, told: None }
    }

    /// The same failure, without the personal values of the events that it was about.
    pub(crate) fn without_personal(mut self, fields: &[EventFields], given: &[RawEnvelope]) -> Self {
        let of = |event: &RawEnvelope| fields.iter().find(|fields| fields.event == event.meta.event);
        let told = given.iter().filter_map(|event| Some((event, &of(event)?.fields)));
        self.told = Some(told.fold(self.chain(), |text, (event, fields)| fields.scrub(&text, &event.body)).into());
        self
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether to wait for something, which doesn't count as an attempt.
    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::ReadOnly)
    }

    /// Whether the database is unavailable.
    pub(crate) fn is_databases(&self) -> bool {
        let cause: &(dyn StdError + 'static) = &*self.cause;
        let mut causes = successors(Some(cause), |&error| error.source());
        self.is_unavailable() && causes.any(|error| error.is::<sqlx::Error>() || error.is::<pavane_outbox::Error>())
    }

    /// Whether the handler's timeout ended.
    pub(crate) fn is_overdue(&self) -> bool {
        self.cause.is::<Overdue>()
    }

    /// The framework's own error, if it is one.
    pub(crate) fn outbox(&self) -> Option<&pavane_outbox::Error> {
        self.cause.downcast_ref()
    }

    /// The failure and its causes, as one line.
    pub(crate) fn chain(&self) -> String {
        if let Some(told) = &self.told {
            return told.to_string();
        }
        pavane_outbox::chain(&*self.cause)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let kind = classify(&error);
        Self::new(kind, Box::new(error))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.chain())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

/// Tells failures of the infrastructure, or of the wiring, from those of the handler.
#[expect(clippy::wildcard_enum_match_arm, reason = "what isn't known to be something else is the handler's")]
fn classify(error: &(dyn StdError + 'static)) -> Kind {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return kind_of(Failure::of(error));
        }
        if let Some(error) = error.downcast_ref::<pavane_outbox::Error>() {
            return match error {
                // A retry would fail again: the wiring table, the event's type or the handler has to change.
                pavane_outbox::Error::Undeclared { .. }
                | pavane_outbox::Error::NeverScheduled { .. }
                | pavane_outbox::Error::NoItems { .. }
                | pavane_outbox::Error::TooManyItems { .. }
                | pavane_outbox::Error::SecondList { .. }
                | pavane_outbox::Error::AskedTwice { .. }
                | pavane_outbox::Error::NeverExpires { .. }
                | pavane_outbox::Error::KeyTooLong { .. }
                | pavane_outbox::Error::Forgotten { .. }
                | pavane_outbox::Error::TooLate { .. }
                | pavane_outbox::Error::Encode(_)
                | pavane_outbox::Error::Ended => Kind::Reject,
                error => kind_of(error.failure()),
            };
        }
        if let Some(error) = error.downcast_ref::<dedupe::Error>()
            && let Some(kind) = kind_of_claim(error)
        {
            return kind;
        }
        next = error.source();
    }
    Kind::Transient
}

/// `None` where the cause decides.
fn kind_of_claim(error: &dedupe::Error) -> Option<Kind> {
    match error {
        dedupe::Error::Busy { left, .. } => Some(Kind::Busy(*left)),
        dedupe::Error::Full(_) | dedupe::Error::Bus(_) => Some(Kind::Unavailable),
        // Not a rejection: that would mean that the effect did not happen.
        dedupe::Error::Lost(_) | dedupe::Error::Claim { .. } | dedupe::Error::Answer { .. } => Some(Kind::Transient),
        dedupe::Error::Database(_) => None,
    }
}

fn kind_of(failure: Failure) -> Kind {
    match failure {
        Failure::Unavailable => Kind::Unavailable,
        Failure::ReadOnly => Kind::ReadOnly,
        Failure::Conflict => Kind::Conflict,
        Failure::Statement => Kind::Transient,
    }
}

/// A function that handles an event in a local transaction: `async fn(&State, &mut Tx, &Envelope<E>) -> Handled`; with `Each<E>` in place of
/// the envelope the event of an item, with `All<(A, B)>` or `Every<E>` the events of a join.
///
/// Implemented for every such function; you never implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "a handler is `async fn(&State, &mut Tx, &Envelope<E>) -> Handled`, or has `Each<E>`, `Every<E>` or `All<(A, B)>` in place of the envelope"
)]
pub trait Handler<'a, S, DB: Database, I: Input>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = Handled> + Send + 'a;

    /// Calls it.
    fn handle(&self, state: &'a S, tx: &'a mut Tx<DB>, given: I::Argument<'a>) -> Self::Future;
}

impl<'a, S, DB, E, F, Fut> Handler<'a, S, DB, Single<E>> for F
where
    S: 'a,
    DB: Database,
    E: Event,
    F: Fn(&'a S, &'a mut Tx<DB>, &'a Envelope<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Handled> + Send + 'a,
{
    type Future = Fut;

    fn handle(&self, state: &'a S, tx: &'a mut Tx<DB>, event: &'a Envelope<E>) -> Fut {
        self(state, tx, event)
    }
}

/// A function that calls something outside: `async fn(&State, &Call<'_>, &Envelope<E>) -> Result<T, HandlerError>`; with `Each<E>`, `Every<E>` or
/// `All<(A, B)>` in place of the envelope, as a [`Handler`].
///
/// It runs outside any transaction, and again under the same key until it has an answer. Implemented for every such
/// function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an effect's call",
    label = "a call is `async fn(&State, &Call<'_>, &Envelope<E>) -> Result<T, HandlerError>`, or has `Each<E>`, `Every<E>` or `All<(A, B)>` in place of the envelope"
)]
pub trait Effect<'a, S, DB: Database, I: Input, T>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = Result<T, HandlerError>> + Send + 'a;

    /// Calls it.
    fn call(&self, state: &'a S, call: &'a Call<'a, DB>, given: I::Argument<'a>) -> Self::Future;
}

impl<'a, S, DB, E, T, F, Fut> Effect<'a, S, DB, Single<E>, T> for F
where
    S: 'a,
    DB: Database,
    E: Event,
    F: Fn(&'a S, &'a Call<'a, DB>, &'a Envelope<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &'a S, call: &'a Call<'a, DB>, event: &'a Envelope<E>) -> Fut {
        self(state, call, event)
    }
}

/// A function that records an effect's answer: `async fn(&State, &mut Tx, &Envelope<E>, T) -> Handled`, given what the call is given.
///
/// Implemented for every such function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not record the call's answer",
    label = "a record is `async fn(&State, &mut Tx, &Envelope<E>, T) -> Handled`, given what the call is given and what it returns"
)]
pub trait Record<'a, S, DB: Database, I: Input, T>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = Handled> + Send + 'a;

    /// Calls it.
    fn record(&self, state: &'a S, tx: &'a mut Tx<DB>, given: I::Argument<'a>, answer: T) -> Self::Future;
}

impl<'a, S, DB, E, T, F, Fut> Record<'a, S, DB, Single<E>, T> for F
where
    S: 'a,
    DB: Database,
    E: Event,
    F: Fn(&'a S, &'a mut Tx<DB>, &'a Envelope<E>, T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Handled> + Send + 'a,
{
    type Future = Fut;

    fn record(&self, state: &'a S, tx: &'a mut Tx<DB>, event: &'a Envelope<E>, answer: T) -> Fut {
        self(state, tx, event, answer)
    }
}

/// Functions that take their argument by value.
macro_rules! by_value {
    ($input:ident<$of:ident: $bound:ident>) => {
        impl<'a, S, DB, $of, F, Fut> Handler<'a, S, DB, $input<$of>> for F
        where
            S: 'a,
            DB: Database,
            $of: $bound,
            F: Fn(&'a S, &'a mut Tx<DB>, $input<$of>) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Handled> + Send + 'a,
        {
            type Future = Fut;

            fn handle(&self, state: &'a S, tx: &'a mut Tx<DB>, given: $input<$of>) -> Fut {
                self(state, tx, given)
            }
        }

        impl<'a, S, DB, $of, T, F, Fut> Effect<'a, S, DB, $input<$of>, T> for F
        where
            S: 'a,
            DB: Database,
            $of: $bound,
            F: Fn(&'a S, &'a Call<'a, DB>, $input<$of>) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, HandlerError>> + Send + 'a,
        {
            type Future = Fut;

            fn call(&self, state: &'a S, call: &'a Call<'a, DB>, given: $input<$of>) -> Fut {
                self(state, call, given)
            }
        }

        impl<'a, S, DB, $of, T, F, Fut> Record<'a, S, DB, $input<$of>, T> for F
        where
            S: 'a,
            DB: Database,
            $of: $bound,
            F: Fn(&'a S, &'a mut Tx<DB>, $input<$of>, T) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Handled> + Send + 'a,
        {
            type Future = Fut;

            fn record(&self, state: &'a S, tx: &'a mut Tx<DB>, given: $input<$of>, answer: T) -> Fut {
                self(state, tx, given, answer)
            }
        }
    };
}

by_value!(All<P: Parts>);
by_value!(Each<E: Event>);
by_value!(Every<E: Event>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_infrastructure_are_told_from_those_of_the_handler() {
        let pool = HandlerError::from(pavane_outbox::Error::Database(sqlx::Error::PoolTimedOut));
        assert_eq!(pool.kind(), Kind::Unavailable);
        assert_eq!(HandlerError::from(sqlx::Error::RowNotFound).kind(), Kind::Transient);
        assert_eq!(HandlerError::from(fmt::Error).kind(), Kind::Transient);
        assert_eq!(HandlerError::reject("no").kind(), Kind::Reject);
        let no_answer = pavane_outbox::Error::NoAnswer(Duration::from_secs(1));
        assert_eq!(HandlerError::from(dedupe::Error::from(no_answer)).kind(), Kind::Unavailable);
        let left = Duration::from_secs(7);
        let busy = dedupe::Error::Busy { key: "text-1".to_owned(), left };
        assert_eq!(HandlerError::from(busy).kind(), Kind::Busy(left));
    }

    #[test]
    fn the_cause_is_told_once() {
        let error = HandlerError::from(pavane_outbox::Error::Database(sqlx::Error::RowNotFound));
        assert_eq!(error.chain().matches("no rows").count(), 1, "{error}");
    }
}
