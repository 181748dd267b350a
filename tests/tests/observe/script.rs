//! The shop's declarations, and a saga told event by event.

use std::{collections::BTreeMap, time::Duration};

use pavane::Config;
use pavane_bus::jetstream::{ConsumerReport, Position};
use pavane_choreography::Declaration;
use pavane_contract::{Cause, EventId, EventRef, Item, Meta, SagaId, Timestamp};
use pavane_observe::{
    Limits, SagaReport, SeenEvent, State, Update, View,
    report::{Action, DeadLetter, Decision, LetterFate},
};
use uuid::Uuid;

/// What the shop's services declare.
pub(crate) fn shop() -> Vec<Declaration> {
    let config = Config::new("nats://unused");
    let psp = payment::PspClient::new(&payment::Settings::default()).unwrap();
    let mailer = notification::Mailer::new(&notification::Settings::default()).unwrap();
    vec![
        order::service(order::Orders::default()).declaration(&config),
        payment::service(payment::Payment::new(psp)).declaration(&config),
        inventory::service(inventory::Inventory).declaration(&config),
        shipping::service(shipping::Shipping).declaration(&config),
        notification::service(notification::Notification::new(mailer)).declaration(&config),
    ]
}

pub(crate) fn view() -> View {
    let mut view = View::new(Limits::default());
    view.apply(shop().into_iter().map(|declaration| Update::Declared(Box::new(declaration))));
    view
}

/// The events of an order that is bought.
pub(crate) const BOUGHT: [&str; 6] = [
    "order.placed",
    "payment.authorized",
    "inventory.reserved",
    "shipping.created",
    "payment.captured",
    "order.confirmed",
];

/// The first second of every script.
const START: i64 = 1_800_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// Tells what happens in a system, in the order in which the stream has it.
pub(crate) struct Script {
    pub(crate) view: View,
    pub(crate) now: i64,
    pub(crate) sequence: u64,
    letters: u64,
    events: BTreeMap<(u8, String), EventId>,
    consumers: BTreeMap<String, ConsumerReport>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let mut script =
            Self { view: view(), now: 0, sequence: 0, letters: 0, events: BTreeMap::new(), consumers: BTreeMap::new() };
        script.look();
        script
    }

    /// An event of saga `saga`, caused by an event that was told before, named in full. `flight.seat-wanted 2/5` is about an item.
    pub(crate) fn event(&mut self, saga: u8, name: &str, cause: Option<&str>) -> u64 {
        let update = self.make(saga, name, cause);
        self.view.apply([update]);
        self.sequence
    }

    pub(crate) fn make(&mut self, saga: u8, name: &str, cause: Option<&str>) -> Update {
        self.sequence += 1;
        let id = event_id(saga, name);
        self.events.insert((saga, name.to_owned()), id);
        let meta = meta(saga, name, cause);
        Update::Event(Box::new(SeenEvent::new(self.sequence, at(self.now), meta)))
    }

    /// Events each caused by the one before it.
    pub(crate) fn chain(&mut self, saga: u8, names: &[&str]) {
        let mut cause = None;
        for name in names {
            self.event(saga, name, cause);
            cause = Some(name);
        }
    }

    /// Time passes, everything is read up to the end, and the consumers are looked at.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        self.look();
    }

    pub(crate) fn look(&mut self) {
        let reports: Vec<_> = self.consumers.values().cloned().collect();
        let (at, last_sequence) = (at(self.now), self.sequence);
        self.view
            .apply([Update::Consumers { at, reports }, Update::End { at, last_sequence, reached: true, loaded: true }]);
    }

    /// A consumer is idle: it has settled everything.
    pub(crate) fn idle(&mut self, durables: &[&str]) {
        for durable in durables {
            let report = self.consumer(durable);
            let position = Position::new(report.1, Some(report.0));
            let report = self.consumers.get_mut(*durable).unwrap();
            (report.delivered, report.settled) = (position, position);
            (report.pending, report.in_flight, report.waiting_pulls) = (0, 0, 1);
        }
        self.look();
    }

    /// All consumers are idle.
    pub(crate) fn all_idle(&mut self) {
        self.idle(&durables().iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// All consumers are idle but those of one service.
    pub(crate) fn others_idle(&mut self, service: &str) {
        let all = durables();
        let others = all.iter().filter(|durable| !is_of(durable, service)).map(String::as_str);
        self.idle(&others.collect::<Vec<_>>());
    }

    /// A consumer has settled everything up to `settled` and was given everything up to `delivered`; nobody is there.
    pub(crate) fn stands(&mut self, durable: &str, settled: u64, delivered: u64, in_flight: u64) {
        let (_, last) = self.consumer(durable);
        let active = self.consumers[durable].settled.active;
        let report = self.consumers.get_mut(durable).unwrap();
        report.settled = Position::new(settled, active);
        report.delivered = Position::new(delivered, active);
        (report.pending, report.in_flight, report.waiting_pulls) = (last - delivered, in_flight, 0);
        self.look();
    }

    /// A consumer works: it has just settled everything up to a sequence, and was given no more.
    pub(crate) fn works(&mut self, durable: &str, settled: u64) {
        let (now, last) = self.consumer(durable);
        let position = Position::new(settled, Some(now));
        let report = self.consumers.get_mut(durable).unwrap();
        (report.delivered, report.settled) = (position, position);
        (report.pending, report.in_flight) = (last - settled, 0);
        self.look();
    }

    fn consumer(&mut self, durable: &str) -> (Timestamp, u64) {
        let new = || ConsumerReport::new(durable, at(0));
        self.consumers.entry(durable.to_owned()).or_insert_with(new);
        (at(self.now), self.sequence)
    }

    /// A reaction gives up on an event.
    pub(crate) fn dead_letter(&mut self, saga: u8, who: (&str, &str), event: &str, cause: &str) -> u64 {
        self.letters += 1;
        let letter = letter((self.letters, at(self.now)), saga, who, event, cause);
        self.view.apply([Update::DeadLetter(Box::new(letter))]);
        self.letters
    }

    /// Somebody decides about a dead letter.
    pub(crate) fn decide(&mut self, action: Action, letter: u64) {
        let letter = self.view.dead_letter(letter).unwrap();
        let decision = decision(action, &letter, at(self.now));
        self.view.apply([Update::Decision(Box::new(decision))]);
    }

    /// The event of a dead letter was given to its reaction again.
    pub(crate) fn redriven(&mut self, saga: u8, who: (&str, &str), event: &str) {
        self.sequence += 1;
        let seen = SeenEvent::new(self.sequence, at(self.now), meta(saga, event, None)).redriven_to(who.0, who.1);
        self.view.apply([Update::Event(Box::new(seen))]);
    }

    pub(crate) fn saga(&self, saga: u8) -> SagaReport {
        self.view.saga(saga_id(saga)).expect("a saga")
    }

    pub(crate) fn state(&self, saga: u8) -> State {
        self.saga(saga).summary.state
    }

    /// What the saga waits for, each as a sentence.
    pub(crate) fn waits(&self, saga: u8) -> Vec<String> {
        self.saga(saga).outstanding.into_iter().map(|wait| wait.sentence).collect()
    }
}

pub(crate) fn saga_id(saga: u8) -> SagaId {
    Uuid::from_u128(0x1000 + u128::from(saga)).into()
}

pub(crate) fn event_id(saga: u8, name: &str) -> EventId {
    Uuid::new_v5(&Uuid::from_u128(u128::from(saga)), name.as_bytes()).into()
}

/// An event's name, and the item that it is about.
fn named(name: &str) -> (&str, Option<Item>) {
    let Some((name, item)) = name.split_once(' ') else { return (name, None) };
    let (number, count) = item.split_once('/').unwrap();
    (name, Some(Item::new(number.parse().unwrap(), count.parse().unwrap()).unwrap()))
}

pub(crate) fn meta(saga: u8, name: &str, cause: Option<&str>) -> Meta {
    let (wire, item) = named(name);
    let event = EventRef { name: wire.to_owned(), version: 1 };
    Meta {
        id: event_id(saga, name),
        source: event.owner().to_owned(),
        event,
        key: format!("order-{saga}").into(),
        time: at(0),
        cause: Cause {
            event: cause.map(|cause| event_id(saga, cause)),
            item,
            ..Cause::new(saga_id(saga), Timestamp::UNIX_EPOCH)
        },
    }
}

pub(crate) fn letter(
    (sequence, stored_at): (u64, Timestamp),
    saga: u8,
    (service, reaction): (&str, &str),
    event: &str,
    cause: &str,
) -> DeadLetter {
    let json = serde_json::json!({
        "sequence": sequence, "service": service, "reaction": reaction, "cause": cause, "event": named(event).0, "version": 1,
        "event_id": event_id(saga, event), "saga": saga_id(saga), "key": format!("order-{saga}"),
        "subject": format!("events.{}.order-{saga}", named(event).0), "event_sequence": null, "attempts": 8,
        "first_failed_at": null, "last_failed_at": null, "stored_at": stored_at, "undo": false,
        "fate": LetterFate::Open,
    });
    serde_json::from_value(json).unwrap()
}

pub(crate) fn decision(action: Action, letter: &DeadLetter, at: Timestamp) -> Decision {
    let json = serde_json::json!({
        "id": Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{action:?} {}", letter.sequence).as_bytes()),
        "action": action, "by": "an operator", "reason": "a test", "at": at, "saga": letter.saga,
        "dead_letter": letter.sequence, "service": letter.service, "reaction": letter.reaction,
        "event_id": letter.event_id,
    });
    serde_json::from_value(json).unwrap()
}

/// The consumers of the shop's reactions.
pub(crate) fn durables() -> Vec<String> {
    let settings = shop().into_iter().flat_map(|declaration| declaration.settings.reactions.into_values());
    settings.map(|reaction| reaction.durable).collect()
}

/// Whether it is the consumer of a service's reaction.
pub(crate) fn is_of(durable: &str, service: &str) -> bool {
    durable.strip_prefix(service).is_some_and(|rest| rest.starts_with('_'))
}

/// How long a reaction may take when it says nothing.
pub(crate) const ALLOWED: Duration = Duration::from_secs(30);
