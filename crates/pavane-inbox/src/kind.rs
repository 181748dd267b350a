//! What a [`Reaction`](crate::Reaction) is, as a type: what makes no sense for one does not compile.
//!
//! ```no_run
//! # use pavane_contract::{Envelope, Event};
//! # use pavane_inbox::{Handler, Reaction, kind::{Effect, Local, Undo, Untriggered}};
//! # type Db = sqlx::Any;
//! fn sense<E: Event, H: for<'a> Handler<'a, (), Db, E>>(
//!     handler: H,
//!     local: Reaction<(), Db, Local>,
//!     effect: Reaction<(), Db, Effect>,
//!     undo: Reaction<(), Db, Untriggered<Local>>,
//!     say: impl Fn(&Envelope<E>) -> E + Send + Sync + 'static,
//! ) {
//!     let _ = local.or(handler).complete();
//!     let _ = effect.gives_up_with(say).complete();
//!     let _ = undo.when::<E>().complete();
//! }
//! ```
//!
//! An effect's call and record belong together: there is no other handler beside them.
//!
//! ```compile_fail
//! # use pavane_contract::Event;
//! # use pavane_inbox::{Handler, Reaction, kind::Effect};
//! # type Db = sqlx::Any;
//! fn nonsense<E: Event, H: for<'a> Handler<'a, (), Db, E>>(handler: H, effect: Reaction<(), Db, Effect>) {
//!     let _ = effect.or(handler);
//! }
//! ```
//!
//! A reaction runs on the event in its handler's signature: only an undo has other events that make it run.
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
//! An undo that nothing makes run can't be added to a service.
//!
//! ```compile_fail
//! # use pavane_inbox::{Reaction, kind::{Local, Untriggered}};
//! # type Db = sqlx::Any;
//! fn nonsense(undo: Reaction<(), Db, Untriggered<Local>>) {
//!     let _ = undo.complete();
//! }
//! ```
//!
//! A compensation that fails needs a person, not an event.
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

/// A handler in a local transaction, by [`on`](crate::on).
#[derive(Debug)]
pub struct Local(Infallible);

/// A call of something outside and a record of its answer, by [`on_effect`](crate::on_effect).
#[derive(Debug)]
pub struct Effect(Infallible);

/// An undo that lacks the events that make it run, by [`undo`](crate::undo) and [`undo_effect`](crate::undo_effect).
#[derive(Debug)]
pub struct Untriggered<W>(Infallible, PhantomData<W>);

/// An undo with the events that make it run.
#[derive(Debug)]
pub struct Undo<W>(Infallible, PhantomData<W>);

/// Any of them that can be added to a service.
#[derive(Debug)]
pub struct Any(Infallible);

/// A reaction that lacks nothing.
#[diagnostic::on_unimplemented(
    message = "an undo that nothing makes run can't be added to a service",
    label = "add `.when::<…>()` with the events that make it run"
)]
pub trait Complete {}

/// A reaction that is no undo.
pub trait Forward: Complete {}

impl Complete for Local {}
impl Complete for Effect {}
impl<W> Complete for Undo<W> {}
impl Complete for Any {}
impl Forward for Local {}
impl Forward for Effect {}
