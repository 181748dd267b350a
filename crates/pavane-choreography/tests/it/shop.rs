//! The shop's manifests and its saga, by hand.

use std::time::Duration;

use pavane_choreography::{Choreography, Emission, Entry, JoinPart, Manifest, Question, Reaction, Role, Saga};
use pavane_contract::{Event, EventRef, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($event:ident = $name:literal)+) => {
        $(
            #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
            pub(crate) struct $event;

            impl Event for $event {
                const NAME: &'static str = $name;
                const VERSION: u16 = 1;
                fn key(&self) -> Key {
                    "order 7".into()
                }
            }
        )+
    };
}

events! {
    OrderPlaced = "order.placed"
    OrderConfirmed = "order.confirmed"
    OrderCancelled = "order.cancelled"
}

pub(crate) fn event(name: &str) -> EventRef {
    EventRef { name: name.to_owned(), version: 1 }
}

pub(crate) fn events(names: &[&str]) -> Vec<EventRef> {
    names.iter().map(|name| event(name)).collect()
}

pub(crate) fn all(names: &[&str]) -> Vec<Emission> {
    vec![Emission::All(events(names))]
}

pub(crate) fn one_of(names: &[&str]) -> Vec<Emission> {
    vec![Emission::OneOf(events(names))]
}

pub(crate) fn maybe(names: &[&str]) -> Vec<Emission> {
    vec![Emission::Maybe(events(names))]
}

pub(crate) fn decides(names: &[&str]) -> Vec<Emission> {
    vec![Emission::Outcome(events(names))]
}

pub(crate) fn manifest(service: &str, entries: Vec<Entry>, reactions: Vec<Reaction>) -> Manifest {
    Manifest { service: service.to_owned(), entries, reactions, events: Vec::new(), outlive_outcome: Vec::new() }
}

pub(crate) fn entry(name: &str, emits: Vec<Emission>) -> Entry {
    Entry { name: name.to_owned(), emits, answers: None }
}

pub(crate) fn react(name: &str, on: &[&str], emits: Vec<Emission>) -> Reaction {
    Reaction {
        name: name.to_owned(),
        role: Role::React,
        on: events(on),
        emits,
        effect: false,
        gives_up_with: None,
        after_undo_of: Vec::new(),
    }
}

/// A join: each part is the names of its events.
pub(crate) fn join(name: &str, parts: &[&[&str]], emits: Vec<Emission>) -> Reaction {
    let of = parts.iter().map(|part| JoinPart::OneOf(events(part))).collect();
    Reaction { role: Role::Join { of }, ..react(name, &parts.concat(), emits) }
}

/// A reaction for each item.
pub(crate) fn each(name: &str, on: &str, emits: Vec<Emission>) -> Reaction {
    Reaction { role: Role::Each, ..react(name, &[on], emits) }
}

/// A join of every item of an event, and of these events.
pub(crate) fn every(name: &str, event_of_all: &str, others: &[&str], emits: Vec<Emission>) -> Reaction {
    let others_parts = others.iter().map(|other| JoinPart::OneOf(vec![event(other)]));
    let of = std::iter::once(JoinPart::Every(event(event_of_all))).chain(others_parts).collect();
    Reaction { role: Role::Join { of }, ..react(name, &[&[event_of_all], others].concat(), emits) }
}

/// A list, and what is emitted in place of an empty one.
pub(crate) fn list(names: &[&str]) -> Vec<Emission> {
    vec![Emission::Each(events(names))]
}

/// An entry point that answers a question.
pub(crate) fn answer(name: &str, asks: &str, expires_with: Option<&str>, emits: Vec<Emission>) -> Entry {
    let answers = Question { asks: event(asks), expires_with: expires_with.map(event) };
    Entry { answers: Some(answers), ..entry(name, emits) }
}

pub(crate) fn undo(name: &str, undoes: &str, on: &[&str], emits: Vec<Emission>) -> Reaction {
    Reaction { role: Role::Undo { undoes: event(undoes) }, ..react(name, on, emits) }
}

pub(crate) fn with_effect(reaction: Reaction) -> Reaction {
    Reaction { effect: true, ..reaction }
}

fn giving_up(reaction: Reaction, with: &str) -> Reaction {
    Reaction { gives_up_with: Some(event(with)), ..reaction }
}

pub(crate) fn saga() -> Saga {
    Saga::new("order")
        .starts_with::<OrderPlaced>()
        .completes_with::<OrderConfirmed>()
        .aborts_with::<OrderCancelled>()
        .within(Duration::from_mins(5))
}

pub(crate) fn choreography() -> Choreography {
    Choreography::of(manifests()).saga(saga())
}

pub(crate) fn manifests() -> Vec<Manifest> {
    vec![order(), payment(), inventory(), shipping(), notification()]
}

fn order() -> Manifest {
    let placed = [all(&["order.placed"]), vec![Emission::Scheduled(events(&["order.deadline-passed"]))]].concat();
    let progress = [
        "payment.authorized",
        "inventory.reserved",
        "shipping.created",
        "payment.voided",
        "payment.refunded",
        "inventory.released",
        "shipping.cancelled",
    ];
    let failures = [
        "payment.declined",
        "payment.capture-failed",
        "inventory.rejected",
        "shipping.rejected",
        "order.deadline-passed",
    ];
    manifest(
        "order",
        vec![entry("place-order", placed), entry("cancel-order", decides(&["order.cancelled"]))],
        vec![
            react("track-progress", &progress, vec![]),
            react("confirm-order", &["payment.captured"], decides(&["order.confirmed"])),
            react("cancel-order", &failures, decides(&["order.cancelled"])),
        ],
    )
}

fn payment() -> Manifest {
    let reactions = vec![
        react("authorize-payment", &["order.placed"], one_of(&["payment.authorized", "payment.declined"])),
        react("capture-payment", &["shipping.created"], one_of(&["payment.captured", "payment.capture-failed"])),
        undo("void-payment", "payment.authorized", &["order.cancelled"], maybe(&["payment.voided"])),
        undo("refund-payment", "payment.captured", &["order.cancelled"], all(&["payment.refunded"])),
    ];
    manifest("payment", vec![], reactions.into_iter().map(with_effect).collect())
}

fn inventory() -> Manifest {
    let reserve =
        react("reserve-stock", &["payment.authorized"], one_of(&["inventory.reserved", "inventory.rejected"]));
    let release = undo("release-stock", "inventory.reserved", &["order.cancelled"], all(&["inventory.released"]));
    let ship = react("ship-stock", &["order.confirmed"], vec![]);
    manifest("inventory", vec![], vec![giving_up(reserve, "inventory.rejected"), release, ship])
}

fn shipping() -> Manifest {
    let create = react("create-shipment", &["inventory.reserved"], one_of(&["shipping.created", "shipping.rejected"]));
    let cancel = undo("cancel-shipment", "shipping.created", &["order.cancelled"], all(&["shipping.cancelled"]));
    let dispatch = react("dispatch-shipment", &["order.confirmed"], vec![]);
    manifest("shipping", vec![], vec![giving_up(create, "shipping.rejected"), cancel, dispatch])
}

fn notification() -> Manifest {
    let confirmation = with_effect(react("send-confirmation", &["order.confirmed"], vec![]));
    let cancellation = with_effect(react("send-cancellation", &["order.cancelled"], vec![]));
    manifest("notification", vec![], vec![confirmation, cancellation])
}
