//! A join says how far it is, and for what it waits.

use pavane_choreography::Declaration;
use pavane_observe::{LetterFilter, State, Update, redrive::Concern, report::Action};
use serde_json::{Value, json};

use crate::script::Script;

fn event(name: &str) -> Value {
    json!({ "name": name, "version": 1 })
}

fn declared(service: &str, entries: &Value, reactions: &Value, sagas: &Value) -> Declaration {
    let manifest = json!({ "service": service, "entries": entries, "reactions": reactions });
    serde_json::from_value(json!({ "schema": 1, "manifest": manifest, "sagas": sagas })).unwrap()
}

fn reaction(name: &str, role: &Value, on: &[&str], emits: &Value) -> Value {
    let on: Vec<_> = on.iter().map(|name| event(name)).collect();
    json!({ "name": name, "role": role, "on": on, "emits": emits, "effect": false, "gives_up_with": null })
}

/// A trip is confirmed when there are a flight, a hotel, and a car or none.
fn trip() -> [Declaration; 3] {
    let parts = [vec!["flight.booked"], vec!["hotel.booked"], vec!["car.booked", "car.unavailable"]];
    let of: Vec<_> =
        parts.iter().map(|part| json!({ "one-of": part.iter().map(|name| event(name)).collect::<Vec<_>>() })).collect();
    let confirm = reaction(
        "confirm",
        &json!({ "join": { "of": of } }),
        &parts.concat(),
        &json!([{ "outcome": [event("trip.confirmed")] }]),
    );
    let expire =
        reaction("expire", &json!("react"), &["trip.expired"], &json!([{ "outcome": [event("trip.cancelled")] }]));
    let entry = json!([{ "name": "book", "emits": [{ "all": [event("trip.requested")] }, { "scheduled": [event("trip.expired")] }] }]);
    let saga = json!({
        "name": "trip", "starts_with": event("trip.requested"), "completes_with": [event("trip.confirmed")],
        "aborts_with": [event("trip.cancelled")], "within": { "secs": 3600, "nanos": 0 }, "terminal": [], "without_undo": [],
    });
    let books = |service: &str| {
        let answer = format!("{service}.booked");
        let book = reaction("book", &json!("react"), &["trip.requested"], &json!([{ "all": [event(&answer)] }]));
        declared(service, &json!([]), &json!([book]), &json!([]))
    };
    [declared("trip", &entry, &json!([confirm, expire]), &json!([saga])), books("flight"), books("hotel")]
}

fn script() -> Script {
    let mut script = Script::new();
    script.view.apply(trip().map(|declaration| Update::Declared(Box::new(declaration))));
    script.event(1, "trip.requested", None);
    script.look();
    script
}

#[test]
fn a_join_that_lacks_events_says_which_and_is_not_overdue_itself() {
    let mut script = script();
    assert_eq!(script.waits(1).len(), 2, "the join has no event yet: {:?}", script.waits(1));
    script.event(1, "flight.booked", Some("trip.requested"));
    script.event(1, "car.unavailable", Some("trip.requested"));
    script.pass(40);
    let waits = script.waits(1);
    let join = "confirm has 2 of 3 events, waiting 40 s for hotel.booked from hotel";
    assert!(waits.contains(&join.to_owned()), "{waits:?}");
    assert!(waits[0].starts_with("waiting 40 s for hotel.booked from hotel; stuck after 30 s"), "{waits:?}");
    let saga = script.saga(1);
    let gathered = saga.outstanding.iter().find_map(|wait| wait.gathered).unwrap();
    assert_eq!((gathered.events, gathered.of), (2, 3));
    assert!(saga.outstanding.iter().all(|wait| wait.overdue != wait.gathered.is_some()), "{:?}", saga.outstanding);
}

#[test]
fn a_join_that_has_all_of_them_owes_its_own_answer() {
    let mut script = script();
    for name in ["hotel.booked", "car.booked", "flight.booked"] {
        script.event(1, name, Some("trip.requested"));
    }
    script.pass(5);
    assert_eq!(script.waits(1), ["waiting 5 s for trip.confirmed from trip; stuck after 30 s"]);
    // By whichever came last.
    script.event(1, "trip.confirmed", Some("hotel.booked"));
    script.look();
    assert_eq!(script.state(1), State::Completed);
}

#[test]
fn an_aborted_saga_waits_for_no_join() {
    let mut script = script();
    script.event(1, "flight.booked", Some("trip.requested"));
    script.event(1, "hotel.booked", Some("trip.requested"));
    script.event(1, "trip.expired", Some("trip.requested"));
    script.event(1, "trip.cancelled", Some("trip.expired"));
    script.look();
    assert!(script.waits(1).is_empty(), "{:?}", script.waits(1));
    assert_eq!(script.state(1), State::Compensated);
}

#[test]
fn parts_that_are_missing_are_told_apart_from_their_alternatives() {
    let mut script = script();
    script.event(1, "flight.booked", Some("trip.requested"));
    script.pass(3);
    let join =
        "confirm has 1 of 3 events, waiting 3 s for hotel.booked from hotel and car.booked or car.unavailable from car";
    assert!(script.waits(1).contains(&join.to_owned()), "{:?}", script.waits(1));
}

const CONFIRM: (&str, &str) = ("trip", "confirm");

/// A join has all of its events, and gave up on the first of them.
fn gave_up() -> (Script, u64) {
    let mut script = script();
    for name in ["flight.booked", "hotel.booked", "car.booked"] {
        script.event(1, name, Some("trip.requested"));
    }
    let letter = script.dead_letter(1, CONFIRM, "flight.booked", "no");
    script.pass(1);
    (script, letter)
}

#[test]
fn a_join_that_gave_up_on_its_first_event_is_waited_for_in_vain() {
    let (mut script, letter) = gave_up();
    assert_eq!(script.state(1), State::Stuck);
    assert_eq!(script.waits(1), ["waiting 1 s for trip.confirmed from trip, in vain: confirm gave up (dead letter 1)"]);
    // Given the event again, it has all its time.
    script.pass(100);
    script.decide(Action::Redrive, letter);
    script.redriven(1, CONFIRM, "flight.booked");
    script.pass(5);
    assert_eq!(script.state(1), State::InProgress);
    assert_eq!(script.waits(1), ["waiting 5 s for trip.confirmed from trip; stuck after 30 s"]);
}

#[test]
fn who_discards_the_dead_letter_of_a_join_ends_its_wait() {
    let (mut script, letter) = gave_up();
    script.decide(Action::Discard, letter);
    script.look();
    assert!(script.waits(1).is_empty(), "{:?}", script.waits(1));
    assert_eq!(script.state(1), State::InProgress, "its deadline ends it");
}

#[test]
fn a_join_that_lacks_events_can_not_get_that_on_which_it_gave_up() {
    let mut script = script();
    script.event(1, "flight.booked", Some("trip.requested"));
    script.event(1, "car.booked", Some("trip.requested"));
    script.dead_letter(1, CONFIRM, "flight.booked", "not kept");
    // A second event of a part is not what it waits for.
    script.event(1, "car.unavailable", Some("trip.requested"));
    script.dead_letter(1, CONFIRM, "car.unavailable", "the join has car.booked already");
    script.pass(4);
    let join =
        "confirm has 2 of 3 events, waiting 4 s for hotel.booked from hotel, in vain: confirm gave up (dead letter 1)";
    assert_eq!(script.waits(1)[0], join);
    assert_eq!(script.state(1), State::Stuck);
}

#[test]
fn a_join_that_ran_by_another_event_has_answered() {
    let (mut script, _) = gave_up();
    script.event(1, "trip.confirmed", Some("car.booked"));
    script.look();
    let concerns = script.view.plan(&LetterFilter::default()).letters.remove(0).concerns;
    assert!(concerns.iter().any(|concern| matches!(concern, Concern::AlreadyApplied(_))), "{concerns:?}");
}
