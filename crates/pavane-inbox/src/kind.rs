//! The kinds of a [`Reaction`](crate::Reaction), as types: a method that makes no sense for a kind does not compile.
//!
//! - An undo without a trigger can't be added to a service, as nothing would make it run. Only an undo has triggers: any other
//!   reaction runs on the event in its handler's signature.
//! - An undo has no failure event: one that fails needs a person.
//! - An effect has no other handler beside it: its call and its record belong together.
//! - Only a call to the outside has a provider that may forget its key, or that can be asked.
//!
//! What the compiler says about each of these mistakes is tested by [`wiring.rs`] in the tests of `pavane`.
//!
//! [`wiring.rs`]: https://github.com/pavane-rs/pavane/blob/main/tests/compile-fail/tests/ui/wiring.rs

use std::{convert::Infallible, marker::PhantomData};

use crate::input::Input;

/// A handler of one event in a local transaction, made by [`on`](crate::on).
#[derive(Debug)]
pub struct Local(Infallible);

/// A handler of the event of each item, in a local transaction: made by [`on`](crate::on) with an argument [`Each`](crate::Each).
#[derive(Debug)]
pub struct Item(Infallible);

/// A handler of several events, when all are there, in a local transaction: made by [`on`](crate::on) with an argument
/// [`All`](crate::All) or [`Every`](crate::Every).
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
#[diagnostic::on_unimplemented(
    message = "an undo has no failure event: one that fails needs a person",
    label = "only what `on` and `on_effect` make gives up with an event"
)]
pub trait Forward: Complete {}

impl Complete for Local {}
impl Complete for Item {}
impl Complete for Join {}
impl<I, T> Complete for Effect<I, T> {}
impl<W> Complete for Undo<W> {}
impl Complete for Any {}
impl Forward for Local {}
impl Forward for Item {}
impl Forward for Join {}
impl<I, T> Forward for Effect<I, T> {}

/// A reaction that calls something outside.
#[diagnostic::on_unimplemented(
    message = "a reaction that calls nothing outside has no provider that may forget its key",
    label = "only what `on_effect` and `undo_effect` make has one"
)]
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
