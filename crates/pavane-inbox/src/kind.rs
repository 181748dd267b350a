//! The kinds of a [`Reaction`](crate::Reaction), as types: a method that makes no sense for a kind does not compile.
//!
//! ```no_run
//! # use pavane_contract::{Envelope, Event};
//! # use pavane_inbox::{Handler, Reaction, input::Single, kind::{Effect, Local, Undo, Untriggered}};
//! # type Db = sqlx::Any;
//! fn sense<E: Event, H: for<'a> Handler<'a, (), Db, Single<E>>>(
//!     handler: H,
//!     local: Reaction<(), Db, Local>,
//!     effect: Reaction<(), Db, Effect<Single<E>, ()>>,
//!     undo: Reaction<(), Db, Untriggered<Local>>,
//!     say: impl Fn(&Envelope<E>) -> E + Send + Sync + 'static,
//! ) {
//!     let _ = local.or(handler).complete();
//!     let _ = effect.gives_up_with(say).complete();
//!     let _ = undo.when::<E>().complete();
//! }
//! ```
//!
//! An effect's call and record belong together, so there is no other handler beside them.
//!
//! ```compile_fail
//! # use pavane_contract::Event;
//! # use pavane_inbox::{Handler, Reaction, input::Single, kind::Effect};
//! # type Db = sqlx::Any;
//! fn nonsense<E: Event, H: for<'a> Handler<'a, (), Db, Single<E>>>(handler: H, effect: Reaction<(), Db, Effect<Single<E>, ()>>) {
//!     let _ = effect.or(handler);
//! }
//! ```
//!
//! A reaction runs on the event in its handler's signature. Only an undo has triggers.
//!
//! ```compile_fail
//! # use pavane_contract::Event;
//! # use pavane_inbox::{Reaction, kind::Local};
//! # type Db = sqlx::Any;
//! fn nonsense<E: Event>(local: Reaction<(), Db, Local>) {
//!     let _ = local.when::<E>();
//! }
//! ```
//!
//! Only a call to the outside has a provider that may forget its key.
//!
//! ```compile_fail
//! # use pavane_inbox::{Reaction, kind::Local};
//! # type Db = sqlx::Any;
//! fn nonsense(local: Reaction<(), Db, Local>) {
//!     let _ = local.key_lives(std::time::Duration::from_hours(24));
//! }
//! ```
//!
//! An undo without a trigger can't be added to a service.
//!
//! ```compile_fail
//! # use pavane_inbox::{Reaction, kind::{Local, Untriggered}};
//! # type Db = sqlx::Any;
//! fn nonsense(undo: Reaction<(), Db, Untriggered<Local>>) {
//!     let _ = undo.complete();
//! }
//! ```
//!
//! An undo that fails needs a person, so it has no failure event.
//!
//! ```compile_fail
//! # use pavane_contract::{Envelope, Event};
//! # use pavane_inbox::{Reaction, kind::{Local, Undo}};
//! # type Db = sqlx::Any;
//! fn nonsense<E: Event>(undo: Reaction<(), Db, Undo<Local>>, say: impl Fn(&Envelope<E>) -> E + Send + Sync + 'static) {
//!     let _ = undo.gives_up_with(say);
//! }
//! ```

use std::{convert::Infallible, marker::PhantomData};

use crate::input::Input;

/// A handler of one event in a local transaction, made by [`on`](crate::on).
#[derive(Debug)]
pub struct Local(Infallible);

/// A handler of several events, when all are there, in a local transaction: made by [`on`](crate::on) with an argument
/// [`All`](crate::All).
#[derive(Debug)]
pub struct Join(Infallible);

/// A call to the outside, on what `I` is given, and a record of its answer `T`, made by [`on_effect`](crate::on_effect).
#[derive(Debug)]
pub struct Effect<I, T>(Infallible, PhantomData<(I, T)>);

/// An undo without triggers, made by [`undo`](crate::undo) and [`undo_effect`](crate::undo_effect).
#[derive(Debug)]
pub struct Untriggered<W>(Infallible, PhantomData<W>);

/// An undo with its triggers.
#[derive(Debug)]
pub struct Undo<W>(Infallible, PhantomData<W>);

/// Any reaction that can be added to a service.
#[derive(Debug)]
pub struct Any(Infallible);

/// A reaction that is complete.
#[diagnostic::on_unimplemented(
    message = "an undo that nothing makes run can't be added to a service",
    label = "add `.when::<…>()` with the events that make it run"
)]
pub trait Complete {}

/// A reaction that is no undo.
pub trait Forward: Complete {}

impl Complete for Local {}
impl Complete for Join {}
impl<I, T> Complete for Effect<I, T> {}
impl<W> Complete for Undo<W> {}
impl Complete for Any {}
impl Forward for Local {}
impl Forward for Join {}
impl<I, T> Forward for Effect<I, T> {}

/// A reaction that calls something outside.
pub trait Calls {
    /// What the call is given.
    type Input: Input;
    /// The call's answer.
    type Answer: Send + 'static;
}

impl<I: Input, T: Send + 'static> Calls for Effect<I, T> {
    type Input = I;
    type Answer = T;
}

impl<W: Calls> Calls for Untriggered<W> {
    type Input = W::Input;
    type Answer = W::Answer;
}

impl<W: Calls> Calls for Undo<W> {
    type Input = W::Input;
    type Answer = W::Answer;
}
