//! Mistakes in a wiring table.

use std::time::Duration;

use pavane::postgres::{Call, Service, Tx};
use pavane::{All, Envelope, Event, Handled, HandlerError, on, on_effect, undo, undo_effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Payment;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", key = id)]
struct OrderPlaced {
    id: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.cancelled", key = id)]
struct OrderCancelled {
    id: u32,
}

async fn authorize(_: &Payment, _: &Call<'_>, _: &Envelope<OrderPlaced>) -> Result<u32, HandlerError> {
    Ok(7)
}

async fn record(_: &Payment, _: &mut Tx, _: &Envelope<OrderPlaced>, _: u32) -> Handled {
    Ok(())
}

async fn note(_: &Payment, _: &mut Tx, _: &Envelope<OrderPlaced>) -> Handled {
    Ok(())
}

async fn notice(_: &Payment, _: &mut Tx, _: &Envelope<OrderCancelled>) -> Handled {
    Ok(())
}

async fn both(_: &Payment, _: &mut Tx, _: All<(OrderPlaced, OrderCancelled)>) -> Handled {
    Ok(())
}

fn failed(order: &Envelope<OrderPlaced>) -> OrderCancelled {
    OrderCancelled { id: order.id }
}

fn an_undo_without_a_trigger() -> Service<Payment> {
    Service::new("payment", Payment).react("void", undo(note))
}

fn an_undo_with_an_effect_without_a_trigger() -> Service<Payment> {
    Service::new("payment", Payment).react("void", undo_effect(authorize, record))
}

fn a_trigger_of_a_step() {
    let _ = on(note).when::<OrderCancelled>();
}

fn another_handler_beside_a_join() {
    let _ = on(both).or(notice);
}

fn another_handler_beside_an_effect() {
    let _ = on_effect(authorize, record).or(notice);
}

fn a_key_without_a_call() {
    let _ = on(note).key_lives(Duration::from_secs(60));
}

fn a_failure_event_of_an_undo() {
    let _ = undo(note).when::<OrderCancelled>().gives_up_with(failed);
}

async fn takes_the_event_alone(_: &Payment, _: &mut Tx, _: &OrderPlaced) -> Handled {
    Ok(())
}

async fn takes_no_transaction(_: &Payment, _: &Envelope<OrderPlaced>) -> Handled {
    Ok(())
}

async fn returns_nothing(_: &Payment, _: &mut Tx, _: &Envelope<OrderPlaced>) {}

fn is_not_async(_: &Payment, _: &mut Tx, _: &Envelope<OrderPlaced>) -> Handled {
    Ok(())
}

async fn takes_another_state(_: &u32, _: &mut Tx, _: &Envelope<OrderPlaced>) -> Handled {
    Ok(())
}

async fn records_another_answer(_: &Payment, _: &mut Tx, _: &Envelope<OrderPlaced>, _: String) -> Handled {
    Ok(())
}

fn no_handlers() -> Service<Payment> {
    Service::new("payment", Payment)
        .react("a", on(takes_the_event_alone))
        .react("b", on(takes_no_transaction))
        .react("c", on(returns_nothing))
        .react("d", on(is_not_async))
        .react("e", on(takes_another_state))
        .react("f", on_effect(authorize, records_another_answer))
}

fn main() {}
