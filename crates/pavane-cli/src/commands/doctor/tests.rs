//! What no server provides in a test: slow handlers, wrong clocks, forbidden subjects.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use pavane_bus::jetstream::ConsumerReport;
use pavane_choreography::{Declaration, Emission, Manifest, Reaction, ReactionSettings, Role, Settings};
use pavane_contract::{Cause, EventId, EventRef, Meta, SagaId, Timestamp};
use pavane_observe::{SeenEvent, Update};
use uuid::Uuid;

use super::{Evidence, access, clocks, consumers, finding::Check, handling, services, streams, tail::Tail};

fn event(name: &str) -> EventRef {
    EventRef { name: name.to_owned(), version: 1 }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

/// A bank that answers `shop.ordered` by `bank.paid`.
fn bank() -> Declaration {
    let pay = Reaction {
        name: "pay".to_owned(),
        role: Role::React,
        on: vec![event("shop.ordered")],
        emits: vec![Emission::All(vec![event("bank.paid")])],
        effect: true,
        gives_up_with: None,
        after_undo_of: Vec::new(),
    };
    let manifest = Manifest {
        service: "bank".to_owned(),
        entries: Vec::new(),
        reactions: vec![pay],
        events: Vec::new(),
        outlive_outcome: Vec::new(),
    };
    let mut settings = Settings::default();
    settings.reactions = BTreeMap::from([("pay".to_owned(), ReactionSettings::new("bank_pay"))]);
    Declaration::new(manifest, Vec::new(), settings)
}

fn consumer() -> ConsumerReport {
    let mut consumer = ConsumerReport::new("bank_pay", at(0));
    consumer.ack_wait = Duration::from_secs(30);
    consumer.max_ack_pending = Some(1000);
    consumer.waiting_pulls = 1;
    consumer
}

/// As many orders, each answered after so long; the bank's clock is off by so much.
fn tail(orders: u128, took: i64, off: i64) -> Tail {
    let (mut tail, mut causes) = (Tail::default(), HashMap::new());
    for order in 0..orders {
        let mut seen = |name: &str, id: u128, cause: Option<EventId>, stored: i64, emitted: i64| {
            let event = event(name);
            let saga = SagaId::from(Uuid::from_u128(order));
            let meta = Meta {
                id: Uuid::from_u128(id).into(),
                source: event.owner().to_owned(),
                event,
                key: "k".into(),
                time: at(emitted),
                cause: Cause { event: cause, ..Cause::new(saga, Timestamp::UNIX_EPOCH) },
            };
            let seen = Update::Event(Box::new(SeenEvent::new(1, at(stored), meta)));
            tail.add(&seen, &mut causes);
        };
        let (asked, answered) = (order * 2 + 1, order * 2 + 2);
        seen("shop.ordered", asked, None, 0, -5);
        seen("bank.paid", answered, Some(Uuid::from_u128(asked).into()), took, took - 5 + off);
    }
    tail
}

fn evidence(tail: Tail) -> Evidence {
    Evidence { declarations: vec![bank()], consumers: Some(vec![consumer()]), tail, ..Evidence::default() }
}

fn consumer_of(evidence: &mut Evidence) -> &mut ConsumerReport {
    &mut evidence.consumers.as_mut().unwrap()[0]
}

fn whats(check: &Check) -> Vec<&str> {
    check.findings.iter().map(|finding| finding.what.as_str()).collect()
}

#[test]
fn answers_that_come_too_late_are_found() {
    assert_eq!(whats(&handling::check(&evidence(tail(50, 2_000, 0)))), [""; 0]);
    assert_eq!(whats(&handling::check(&evidence(tail(19, 40_000, 0)))), [""; 0], "too few to say");
    let check = handling::check(&evidence(tail(50, 40_000, 0)));
    assert_eq!(
        whats(&check),
        ["99 of 100 answers of bank/pay came within 40 s, waiting in line included, and its stuck_after is 30 s"]
    );
    assert_eq!(check.seen, "slowest bank/pay: 99 of 100 within 40 s");
}

#[test]
fn what_the_handlers_say_of_themselves_counts_more() {
    let mut evidence = evidence(tail(50, 40_000, 0));
    let key = ("bank".to_owned(), "pay".to_owned());
    evidence.handlers = Some(BTreeMap::from([(key.clone(), Duration::from_secs(2))]));
    assert_eq!(whats(&handling::check(&evidence)), [""; 0]);
    consumer_of(&mut evidence).redelivered = 3;
    assert!(whats(&handling::check(&evidence))[0].contains("3 events of bank/pay were delivered again"));
    consumer_of(&mut evidence).redelivered = 0;
    evidence.handlers = Some(BTreeMap::from([(key, Duration::from_secs(31))]));
    assert_eq!(
        whats(&handling::check(&evidence)),
        ["99 of 100 runs of bank/pay take up to 31 s, and the broker waits 30 s for a heartbeat"]
    );
}

#[test]
fn a_consumer_without_a_limit_and_one_with_a_small_one_are_found() {
    let mut evidence = evidence(Tail::default());
    consumer_of(&mut evidence).max_ack_pending = None;
    assert!(whats(&handling::check(&evidence))[0].contains("any number of events in hand"));
    consumer_of(&mut evidence).max_ack_pending = Some(100);
    assert!(whats(&handling::check(&evidence))[0].contains("lets it have 100 in hand"));
    consumer_of(&mut evidence).max_ack_pending = Some(256);
    assert_eq!(whats(&handling::check(&evidence)), [""; 0]);
}

#[test]
fn clocks_that_are_off_are_found_in_either_direction() {
    let check = |off| clocks::check(&evidence(tail(50, 100, off)));
    assert_eq!(whats(&check(0)), [""; 0]);
    assert_eq!(
        whats(&check(60_000)),
        ["the clock of bank is ahead of that of the server by 59 s, by what can be seen from here"]
    );
    assert_eq!(
        whats(&check(-60_000)),
        ["the clock of bank is behind that of the server by 60 s, by what can be seen from here"]
    );
    assert_eq!(whats(&clocks::check(&evidence(tail(4, 100, 60_000)))), [""; 0], "too few to say");
    let mut ours = evidence(Tail::default());
    ours.clocks = Some((at(0), at(-5_000)));
    assert_eq!(
        whats(&clocks::check(&ours)),
        ["the clock of the server is ahead of that of this machine by 5.0 s, by what can be seen from here"]
    );
}

#[test]
fn a_paused_consumer_is_paused_and_not_unattended() {
    let mut evidence = evidence(Tail::default());
    consumer_of(&mut evidence).paused = true;
    consumer_of(&mut evidence).waiting_pulls = 0;
    assert_eq!(whats(&consumers::check(&evidence)), ["the consumer of bank/pay is paused"]);
    consumer_of(&mut evidence).paused = false;
    assert_eq!(whats(&consumers::check(&evidence)), ["nobody takes events for bank (0 pending)"]);
    consumer_of(&mut evidence).in_flight = 1;
    consumer_of(&mut evidence).at = Some(at(80_000));
    consumer_of(&mut evidence).delivered.active = Some(at(0));
    assert_eq!(whats(&consumers::check(&evidence)), [""; 0], "busy is not absent");
    consumer_of(&mut evidence).at = Some(at(100_000));
    assert_eq!(whats(&consumers::check(&evidence)).len(), 1, "it left with an event in hand");
}

#[test]
fn what_may_not_be_seen_is_said() {
    let evidence =
        Evidence { denied: vec!["Permissions Violation".to_owned()], may_decide: true, ..Evidence::default() };
    let check = access::check(&evidence);
    assert_eq!(whats(&check), ["this user may not look at everything: Permissions Violation"]);
    // What may not be seen is not missing.
    for blind in [consumers::check(&evidence), services::check(&evidence), streams::check(&evidence)] {
        assert_eq!(whats(&blind), [""; 0], "{}", blind.about);
    }
    assert_eq!(whats(&access::check(&Evidence { may_decide: true, ..Evidence::default() })), [""; 0]);
}
