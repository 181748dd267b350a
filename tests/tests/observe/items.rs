//! Each item of a step is followed by itself, and told with the others.

use pavane_choreography::Declaration;
use pavane_observe::{
    LetterFilter, State, Update,
    redrive::Concern,
    report::{Action, Fate},
};
use serde_json::{Value, json};

use crate::script::Script;

fn event(name: &str) -> Value {
    json!({ "name": name, "version": 1 })
}

fn reaction(name: &str, role: &Value, on: &[&str], emits: &Value) -> Value {
    let on: Vec<_> = on.iter().map(|name| event(name)).collect();
    json!({ "name": name, "role": role, "on": on, "emits": emits, "effect": false, "gives_up_with": null })
}

/// A seat for every passenger, or none; all of them are a flight.
fn flight() -> Value {
    let [wanted, reserved, refused] = ["flight.seat-wanted", "flight.seat-reserved", "flight.seat-refused"];
    let each = json!([{ "each": [event(wanted), event("flight.no-seats")] }]);
    let answer = json!([{ "one-of": [event(reserved), event(refused)] }]);
    let release = json!({ "undo": { "undoes": event(reserved) } });
    let every = json!({ "join": { "of": [{ "every": event(reserved) }] } });
    let reactions = json!([
        reaction("split", &json!("react"), &["trip.requested"], &each),
        reaction("reserve-seat", &json!("each"), &[wanted], &answer),
        reaction("release-seat", &release, &["trip.cancelled"], &json!([{ "all": [event("flight.seat-released")] }])),
        reaction("seats-ready", &every, &[reserved], &json!([{ "all": [event("flight.booked")] }])),
    ]);
    json!({ "service": "flight", "entries": [], "reactions": reactions })
}

/// It is confirmed when there is a flight, and cancelled with the first seat that is refused.
fn trip() -> (Value, Value) {
    let (confirmed, cancelled) = (event("trip.confirmed"), event("trip.cancelled"));
    let reactions = json!([
        reaction("confirm", &json!("react"), &["flight.booked"], &json!([{ "outcome": [confirmed] }])),
        reaction("cancel", &json!("react"), &["flight.seat-refused"], &json!([{ "outcome": [cancelled] }])),
    ]);
    let entry = json!([{ "name": "book", "emits": [{ "all": [event("trip.requested")] }], "answers": null }]);
    let saga = json!({
        "name": "trip", "starts_with": event("trip.requested"), "completes_with": [confirmed], "aborts_with": [cancelled],
        "within": { "secs": 3600, "nanos": 0 }, "terminal": [], "without_undo": [],
    });
    (json!({ "service": "trip", "entries": entry, "reactions": reactions }), saga)
}

fn declare(script: &mut Script, manifest: &Value, sagas: &Value) {
    let declaration: Declaration =
        serde_json::from_value(json!({ "schema": 1, "manifest": manifest, "sagas": sagas })).unwrap();
    script.view.apply([Update::Declared(Box::new(declaration))]);
}

/// A trip was requested.
fn script() -> Script {
    let mut script = Script::new();
    declare(&mut script, &flight(), &json!([]));
    let (trip, saga) = trip();
    declare(&mut script, &trip, &json!([saga]));
    script.event(1, "trip.requested", None);
    script.look();
    script
}

impl Script {
    fn wanted(&mut self, numbers: &[u32], of: u32) {
        for number in numbers {
            self.event(1, &format!("flight.seat-wanted {number}/{of}"), Some("trip.requested"));
        }
        self.look();
    }

    /// What comes of the seats that were wanted.
    fn answered(&mut self, what: &str, numbers: &[u32], of: u32) {
        for number in numbers {
            let cause = format!("flight.seat-wanted {number}/{of}");
            self.event(1, &format!("flight.{what} {number}/{of}"), Some(&cause));
        }
        self.look();
    }

    fn released(&mut self, numbers: &[u32], of: u32) {
        for number in numbers {
            self.event(1, &format!("flight.seat-released {number}/{of}"), Some("trip.cancelled"));
        }
        self.look();
    }

    /// How far the seats are.
    fn seats(&self) -> String {
        let items = self.saga(1).items;
        assert!(items.iter().all(|step| (step.service.as_str(), step.reaction.as_str()) == ("flight", "reserve-seat")));
        items.into_iter().map(|step| step.sentence).collect::<Vec<_>>().join("; ")
    }

    fn fate(&self) -> Vec<Fate> {
        self.saga(1).effects.into_iter().map(|effect| effect.fate).collect()
    }
}

#[test]
fn a_saga_is_completed_when_every_item_is_done() {
    let mut script = script();
    assert_eq!(
        script.waits(1),
        ["waiting 0 ms for each flight.seat-wanted or flight.no-seats from flight; stuck after 30 s"]
    );
    script.wanted(&[1, 2, 3], 3);
    script.answered("seat-reserved", &[1], 3);
    assert_eq!(script.seats(), "1 of 3 done, 2 awaited");
    script.answered("seat-reserved", &[2, 3], 3);
    assert_eq!(script.seats(), "3 of 3 done");
    assert_eq!(script.waits(1), ["waiting 0 ms for flight.booked from flight; stuck after 30 s"]);
    script.event(1, "flight.booked", Some("flight.seat-reserved 3/3"));
    script.event(1, "trip.confirmed", Some("flight.booked"));
    script.look();
    assert_eq!((script.state(1), script.fate()), (State::Completed, vec![Fate::Kept]));
    assert!(script.waits(1).is_empty() && script.saga(1).deviations.is_empty(), "{:?}", script.saga(1));
    let about: Vec<_> = script.saga(1).timeline.iter().map(|event| event.item.map(|it| (it.number, it.of))).collect();
    assert_eq!(about[..4], [None, Some((1, 3)), Some((2, 3)), Some((3, 3))]);
    assert_eq!(about[7..], [None, None], "what is about all of them is about none");
}

#[test]
fn a_saga_is_compensated_when_every_item_that_was_done_is_undone() {
    let mut script = script();
    script.wanted(&[1, 2, 3, 4], 4);
    script.answered("seat-reserved", &[1, 3, 4], 4);
    script.answered("seat-refused", &[2], 4);
    assert_eq!((script.seats().as_str(), script.fate()), ("3 of 4 done, 1 refused", vec![Fate::Armed]));
    script.event(1, "trip.cancelled", Some("flight.seat-refused 2/4"));
    script.pass(5);
    let waits = "waiting 5 s for flight.seat-released of items 1, 3 and 4 of 4 from flight; stuck after 30 s";
    assert_eq!((script.waits(1), script.state(1)), (vec![waits.to_owned()], State::Compensating));
    script.released(&[1, 4], 4);
    let waits = "waiting 5 s for flight.seat-released of item 3 of 4 from flight; stuck after 30 s";
    assert_eq!((script.waits(1), script.state(1)), (vec![waits.to_owned()], State::Compensating));
    assert_eq!(script.seats(), "2 of 4 undone, 1 about to be undone, 1 refused");
    assert_eq!(script.fate(), [Fate::Undoing]);
    script.released(&[3], 4);
    assert_eq!((script.waits(1), script.state(1)), (Vec::new(), State::Compensated));
    assert_eq!((script.seats().as_str(), script.fate()), ("3 of 4 undone, 1 refused", vec![Fate::Undone]));
}

#[test]
fn items_that_are_missing_are_named_where_the_saga_is_stuck() {
    let mut script = script();
    script.wanted(&[1, 2, 3, 4, 5], 5);
    script.pass(2);
    script.answered("seat-reserved", &[1, 3, 5], 5);
    script.pass(38);
    let waits = "waiting 40 s for flight.seat-reserved or flight.seat-refused of items 2 and 4 of 5 from flight; stuck after 30 s";
    let stuck = script.view.stuck();
    assert_eq!((stuck.len(), stuck[0].waits_for.as_deref()), (1, Some(waits)));
    assert_eq!(script.seats(), "3 of 5 done, 2 late (2 and 4)");
    let join = "seats-ready has 3 of 5 events, waiting 38 s for flight.seat-reserved of items 2 and 4 of 5 from flight";
    assert_eq!(script.waits(1), [waits, join]);
    let outstanding = script.saga(1).outstanding;
    let items = outstanding[0].items.as_ref().unwrap();
    assert_eq!((items.numbers.as_slice(), items.of), ([2, 4].as_slice(), 5));
    let gathered = outstanding[1].gathered.unwrap();
    assert_eq!((gathered.events, gathered.of), (3, 5));
    // One saga waits, and for one thing.
    let flow = script.view.flow();
    let reserve = flow.reactions.iter().find(|reaction| reaction.reaction == "reserve-seat").unwrap();
    assert_eq!((reserve.waiting, reserve.overdue), (1, 1));
    assert_eq!(script.view.metrics().stuck.values().sum::<u64>(), 1);
    // The one comes late, and the other is still awaited.
    script.answered("seat-reserved", &[4], 5);
    assert!(script.waits(1)[0].contains("of item 2 of 5 from flight"), "{:?}", script.waits(1));
}

#[test]
fn a_list_has_all_of_its_items_or_says_that_it_has_none() {
    let mut lacks = script();
    lacks.wanted(&[1, 4], 4);
    lacks.answered("seat-reserved", &[1, 4], 4);
    lacks.pass(31);
    let waits =
        "waiting 31 s for flight.seat-wanted or flight.no-seats of items 2 and 3 of 4 from flight; stuck after 30 s";
    assert_eq!((lacks.waits(1)[0].as_str(), lacks.state(1)), (waits, State::Stuck));
    assert_eq!(lacks.seats(), "2 of 4 done, 2 not there yet (2 and 3)");
    lacks.wanted(&[2, 3], 4);
    assert_eq!(lacks.state(1), State::InProgress, "{:?}", lacks.waits(1));
    let mut empty = script();
    empty.event(1, "flight.no-seats", Some("trip.requested"));
    empty.pass(31);
    assert!(empty.waits(1).is_empty() && empty.seats().is_empty(), "{:?}", empty.saga(1));
    assert_eq!(empty.state(1), State::InProgress);
}

#[test]
fn an_item_counts_once_and_in_any_order() {
    let mut script = script();
    // The broker lost what led to the second, and stores it again after it.
    script.answered("seat-reserved", &[2], 3);
    script.wanted(&[3, 2], 3);
    script.answered("seat-reserved", &[3, 2, 3], 3);
    script.wanted(&[2], 3);
    assert_eq!(script.seats(), "2 of 3 done, 1 not there yet (1)");
    let join = "seats-ready has 2 of 3 events, waiting 0 ms for flight.seat-reserved of item 1 of 3 from flight";
    assert!(script.waits(1).contains(&join.to_owned()), "{:?}", script.waits(1));
    script.wanted(&[1], 3);
    script.answered("seat-reserved", &[1], 3);
    assert_eq!(script.seats(), "3 of 3 done");
    assert_eq!(script.waits(1), ["waiting 0 ms for flight.booked from flight; stuck after 30 s"]);
}

#[test]
fn every_item_is_a_part_beside_others() {
    let mut script = script();
    let of = json!([{ "every": event("flight.seat-reserved") }, { "one-of": [event("hotel.booked")] }]);
    let mut flight = flight();
    flight["reactions"][3]["role"] = json!({ "join": { "of": of } });
    flight["reactions"][3]["on"] = json!([event("flight.seat-reserved"), event("hotel.booked")]);
    declare(&mut script, &flight, &json!([]));
    script.wanted(&[1, 2, 3], 3);
    script.event(1, "hotel.booked", Some("trip.requested"));
    script.pass(1);
    let join = |waits: Vec<String>| waits.into_iter().find(|wait| wait.starts_with("seats-ready")).unwrap();
    assert_eq!(
        join(script.waits(1)),
        "seats-ready has 1 of 2 events, waiting 1 s for every flight.seat-reserved from flight"
    );
    script.answered("seat-reserved", &[2, 3], 3);
    assert_eq!(
        join(script.waits(1)),
        "seats-ready has 3 of 4 events, waiting 0 ms for flight.seat-reserved of item 1 of 3 from flight"
    );
    script.answered("seat-reserved", &[1], 3);
    assert_eq!(script.waits(1), ["waiting 0 ms for flight.booked from flight; stuck after 30 s"]);
}

#[test]
fn an_item_that_was_given_up_on_is_told_apart_from_those_that_are_awaited() {
    let mut script = script();
    script.wanted(&[1, 2, 3], 3);
    let reserve = ("flight", "reserve-seat");
    let letter = script.dead_letter(1, reserve, "flight.seat-wanted 2/3", "no such seat");
    script.pass(1);
    let answer = "flight.seat-reserved or flight.seat-refused";
    assert_eq!(
        script.waits(1),
        [
            format!(
                "waiting 1 s for {answer} of item 2 of 3 from flight, in vain: reserve-seat gave up (dead letter 1)"
            ),
            format!("waiting 1 s for {answer} of items 1 and 3 of 3 from flight; stuck after 30 s"),
        ]
    );
    assert_eq!(script.seats(), "2 of 3 awaited, 1 failed (2)");
    script.pass(10);
    script.decide(Action::Redrive, letter);
    script.redriven(1, reserve, "flight.seat-wanted 2/3");
    script.pass(1);
    assert_eq!(
        script.waits(1),
        [format!("waiting 12 s for {answer} of items 1 to 3 of 3 from flight; stuck after 30 s")],
        "since the first of them"
    );
}

#[test]
fn an_item_that_failed_is_told_apart_from_those_that_are_late() {
    let mut script = script();
    script.wanted(&[1, 2, 3], 3);
    script.dead_letter(1, ("flight", "reserve-seat"), "flight.seat-wanted 2/3", "no such seat");
    script.pass(31);
    assert_eq!(script.seats(), "2 of 3 late (1 and 3), 1 failed (2)");
    let waits = script.waits(1);
    assert!(waits[0].contains("of item 2 of 3 from flight, in vain"), "{waits:?}");
    assert!(waits.len() == 2 && waits[1].contains("of items 1 and 3 of 3 from flight; stuck"), "{waits:?}");
}

#[test]
fn an_undo_that_gave_up_is_needed_until_every_item_is_undone() {
    let mut script = script();
    script.wanted(&[1, 2, 3], 3);
    script.answered("seat-reserved", &[1, 2], 3);
    script.answered("seat-refused", &[3], 3);
    script.event(1, "trip.cancelled", Some("flight.seat-refused 3/3"));
    script.dead_letter(1, ("flight", "release-seat"), "trip.cancelled", "no");
    script.released(&[2], 3);
    assert_eq!((script.state(1), script.fate()), (State::NeedsReview, vec![Fate::Failed]));
    assert_eq!(script.seats(), "1 of 3 undone, 1 refused, 1 failed (1)");
    let applied = |script: &Script| {
        let concerns = script.view.plan(&LetterFilter::default()).letters.remove(0).concerns;
        concerns.iter().any(|concern| matches!(concern, Concern::AlreadyApplied(_)))
    };
    assert!(!applied(&script), "it has more to undo");
    script.released(&[1], 3);
    assert_eq!(script.state(1), State::Compensated);
    assert!(applied(&script));
}

#[test]
fn an_item_that_may_be_barred_is_skipped_once_both_were_handled() {
    let mut script = script();
    script.wanted(&[1, 2], 2);
    script.answered("seat-reserved", &[1], 2);
    script.event(1, "trip.cancelled", Some("trip.requested"));
    script.released(&[1], 2);
    let (reserve, release) = ("flight_reserve-seat", "flight_release-seat");
    script.stands(reserve, 0, script.sequence, 1);
    script.stands(release, 0, script.sequence, 1);
    assert_eq!((script.seats().as_str(), script.state(1)), ("1 of 2 undone, 1 awaited", State::Compensating));
    let handles = |waits: Vec<String>| waits.iter().any(|wait| wait.contains("(reserve-seat of item 2 of 2)"));
    assert!(handles(script.waits(1)), "{:?}", script.waits(1));
    script.idle(&[reserve]);
    assert_eq!(script.state(1), State::Compensating, "the undo is not done with it");
    script.idle(&[release]);
    assert_eq!((script.seats().as_str(), script.state(1)), ("1 of 2 undone, 1 skipped", State::Compensated));
}

#[test]
fn a_thousand_items_are_followed() {
    let mut script = script();
    let all: Vec<u32> = (1..=1000).collect();
    for what in ["seat-wanted", "seat-reserved"] {
        let events: Vec<_> = all
            .iter()
            .map(|number| {
                let cause = format!("flight.seat-wanted {number}/1000");
                let cause = if what == "seat-wanted" { "trip.requested" } else { &cause };
                script.make(1, &format!("flight.{what} {number}/1000"), Some(cause))
            })
            .collect();
        script.view.apply(events);
    }
    script.look();
    assert_eq!(script.seats(), "1000 of 1000 done");
    assert_eq!(script.waits(1), ["waiting 0 ms for flight.booked from flight; stuck after 30 s"]);
}
