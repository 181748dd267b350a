//! Joins and questions: what explores clean, and what is caught when one piece is missing.

use pavane_choreography::{Choreography, Emission, Manifest, Rule, Saga};

use crate::{
    mutants::{mutants, noticed},
    shop::{all, decides, entry, event, events, join, manifest, one_of, react, undo},
    travel,
};

/// A saga of these services, from `<first>.requested` to `<first>.confirmed` or `<first>.cancelled`.
fn saga(first: &str, terminal: &[&str]) -> Saga {
    let fact = |fact: &str| event(&format!("{first}.{fact}"));
    let mut saga = Saga::new(first).within(std::time::Duration::from_mins(5));
    saga.starts_with = Some(fact("requested"));
    (saga.completes_with, saga.aborts_with) = (vec![fact("confirmed")], vec![fact("cancelled")]);
    saga.terminal = [events(terminal), vec![fact("confirmed")]].concat();
    saga
}

/// "Book a flight and a hotel; if the hotel fails, cancel the flight."
fn trip() -> Choreography {
    let requested = [all(&["trip.requested"]), vec![Emission::Scheduled(events(&["trip.overdue"]))]].concat();
    let confirm = join("confirm", &[&["flight.booked"], &["hotel.booked"]], decides(&["trip.confirmed"]));
    let cancel = react("cancel", &["hotel.refused", "trip.overdue"], decides(&["trip.cancelled"]));
    let flight = react("book-flight", &["trip.requested"], all(&["flight.booked"]));
    let hotel = react("book-hotel", &["trip.requested"], one_of(&["hotel.booked", "hotel.refused"]));
    let cancel_flight = undo("cancel-flight", "flight.booked", &["trip.cancelled"], all(&["flight.cancelled"]));
    let cancel_hotel = undo("cancel-hotel", "hotel.booked", &["trip.cancelled"], all(&["hotel.cancelled"]));
    let trip = manifest("trip", vec![entry("request", requested)], vec![confirm, cancel]);
    let services = [
        trip,
        manifest("flight", vec![], vec![flight, cancel_flight]),
        manifest("hotel", vec![], vec![hotel, cancel_hotel]),
    ];
    Choreography::of(services).saga(saga("trip", &["flight.cancelled", "hotel.cancelled"]))
}

/// Payment and inventory, both on the order.
fn order() -> Choreography {
    let requested = [all(&["order.requested"]), vec![Emission::Scheduled(events(&["order.overdue"]))]].concat();
    let confirm = join("confirm", &[&["payment.authorized"], &["inventory.reserved"]], decides(&["order.confirmed"]));
    let failures = ["payment.declined", "inventory.rejected", "order.overdue"];
    let cancel = react("cancel", &failures, decides(&["order.cancelled"]));
    let authorize = react("authorize", &["order.requested"], one_of(&["payment.authorized", "payment.declined"]));
    let reserve = react("reserve", &["order.requested"], one_of(&["inventory.reserved", "inventory.rejected"]));
    let void = undo("void", "payment.authorized", &["order.cancelled"], all(&["payment.voided"]));
    let release = undo("release", "inventory.reserved", &["order.cancelled"], all(&["inventory.released"]));
    let order = manifest("order", vec![entry("request", requested)], vec![confirm, cancel]);
    let services = [
        order,
        manifest("payment", vec![], vec![authorize, void]),
        manifest("inventory", vec![], vec![reserve, release]),
    ];
    Choreography::of(services).saga(saga("order", &["payment.voided", "inventory.released"]))
}

#[test]
fn a_flight_and_a_hotel() {
    trip().assert_sound();
    order().assert_sound();
}

#[test]
fn a_piece_of_the_trip_that_is_missing_is_noticed() {
    insta::assert_snapshot!(noticed(&trip()));
}

#[test]
fn a_piece_of_the_order_that_is_missing_is_noticed() {
    insta::assert_snapshot!(noticed(&order()));
}

/// The checks alone notice all of it.
#[test]
fn a_piece_of_the_travel_that_is_missing_is_noticed() {
    let unnoticed = mutants(&travel::choreography()).into_iter().filter(|(_, less)| less.check().is_empty());
    assert_eq!(unnoticed.map(|(what, _)| what).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_travel_is_sound() {
    travel::choreography().assert_sound();
    let exploration = travel::choreography().explore(&travel::saga()).unwrap();
    insta::assert_snapshot!(exploration, @"saga trip: 11858 states by 20773 moves, up to 18 moves deep, stand for every interleaving; all of its 238 ends are sound (4 completed, 234 aborted)");
}

/// What is found in the travel after a change of the trip's own service, briefly.
fn found(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifests = travel::manifests();
    change(&mut manifests[0]);
    let findings = Choreography::of(manifests).saga(travel::saga()).check();
    findings.into_iter().flat_map(|finding| [finding.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn a_part_that_nobody_emits() {
    let lost = |trip: &mut Manifest| {
        trip.reactions[1] = join("confirm-trip", &[&["flight.booked"], &["hotel.lost"]], decides(&["trip.confirmed"]));
    };
    let told = "nothing triggers the reaction
  who:   trip/confirm-trip
  mend:  let somebody emit hotel.lost, or join without it
";
    assert!(found(lost).contains(told), "{}", found(lost));
}

#[test]
fn parts_that_exclude_one_another() {
    let both = |trip: &mut Manifest| {
        let parts: [&[&str]; 3] = [&["flight.booked", "flight.refused"], &["car.booked"], &["car.unavailable"]];
        trip.reactions.push(join("count", &parts, vec![]));
    };
    insta::assert_snapshot!(found(both), @r"
    two parts of the join exclude one another
      who:   trip/count
      mend:  make car.booked or car.unavailable one part, OneOf<(…)>, or wait for only one of them: at most one of them comes
    ");
    // Not if another reaction may emit one of them, too.
    let order = |again: bool| {
        let mut manifests = order().manifests().to_vec();
        manifests[0].reactions.push(join("count", &[&["payment.authorized"], &["payment.declined"]], vec![]));
        let once_more = react("decline-again", &["order.requested"], all(&["payment.declined"]));
        manifests[1].reactions.extend(again.then_some(once_more));
        Choreography::of(manifests).saga(order().sagas()[0].clone()).check()
    };
    assert_eq!(order(false)[0].rule, Rule::ExclusiveParts);
    assert_eq!(order(true), []);
}

#[test]
fn a_question_that_nobody_asks_that_never_expires_and_whose_expiry_is_unused() {
    insta::assert_snapshot!(found(|trip| trip.entries[2].answers.as_mut().unwrap().asks = event("hotel.held")), @r"
    nobody consumes the event
      who:   trip/ask-price
      event: trip.price-asked v1
      path:  trip.requested → hotel/hold-room → hotel.held → trip/ask-price → trip.price-asked
      mend:  let a reaction consume it, stop emitting it, or declare it terminal on the saga
    nobody can ever answer the question
      who:   trip/approve-price
      event: hotel.held v1
      mend:  let trip emit hotel.held, or let the service that does have the entry point
    ");
    insta::assert_snapshot!(found(|trip| trip.entries[2].answers.as_mut().unwrap().expires_with = None), @r"
    nothing ends the wait for the answer
      who:   trip/approve-price
      event: trip.price-asked v1
      mend:  name the scheduled event that ends the wait for the answer: expires_with
    ");
    let unused = |trip: &mut Manifest| trip.reactions[2].on.retain(|event| event.name != "trip.price-expired");
    insta::assert_snapshot!(found(unused), @r"
    nobody consumes the event
      who:   trip/ask-price
      event: trip.price-expired v1
      path:  trip.requested → hotel/hold-room → hotel.held → trip/ask-price → trip.price-expired
      mend:  let a reaction consume it, stop emitting it, or declare it terminal on the saga
    the question expires, and the saga does not end by that
      who:   trip/approve-price
      event: trip.price-expired v1
      saga:  trip
      mend:  let a reaction that leads to trip.cancelled consume trip.price-expired, or to what the answer leads to
    ");
}

/// Giving up would ask it, and fail, again and again; an outcome closes it at once; a timer asks nothing.
#[test]
fn a_question_that_is_a_failure_event_an_outcome_or_scheduled() {
    let question = event("trip.price-asked");
    for (found, mend) in [
        (
            found(|trip| trip.reactions[1].gives_up_with = Some(question.clone())),
            "let trip/confirm-trip name another event in .gives_up_with, and a reaction to that one ask",
        ),
        (
            found(|trip| trip.entries[1].emits = decides(&["trip.cancelled", "trip.price-asked"])),
            "let trip/cancel-trip name another event in .decides, and a reaction to that one ask",
        ),
        (
            found(|trip| trip.reactions[2].emits.push(Emission::Scheduled(vec![question.clone()]))),
            "let trip/cancel-trip name another event in .schedules, and a reaction to that one ask",
        ),
    ] {
        assert!(found.contains("nobody can ever answer the question") && found.contains(mend), "{found}");
    }
}

#[test]
fn undos_that_wait_for_one_another_or_for_nothing() {
    // One service books both.
    let both = |flight: &[&str], hotel: &[&str]| {
        let mut manifests = trip().manifests().to_vec();
        let mut reactions = [manifests.remove(1).reactions, manifests.remove(1).reactions].concat();
        reactions[1].after_undo_of = events(flight);
        reactions[3].after_undo_of = events(hotel);
        manifests.push(manifest("agency", vec![], reactions));
        let findings = Choreography::of(manifests).saga(trip().sagas()[0].clone()).check().into_iter();
        let ours = findings.filter(|finding| [Rule::AfterNothing, Rule::UndosInCircle].contains(&finding.rule));
        ours.flat_map(|finding| [finding.to_string(), "\n".to_owned()]).collect::<String>()
    };
    assert_eq!(both(&["hotel.booked"], &[]), "");
    insta::assert_snapshot!(both(&["hotel.booked"], &["flight.booked"]), @r"
    the undos wait for one another
      who:   agency/cancel-flight
      mend:  leave .after_undo_of::<…>() out of one of cancel-flight, cancel-hotel
    ");
    insta::assert_snapshot!(both(&["trip.confirmed"], &["hotel.booked"]), @r"
    the undo waits for the undo of something that its service does not undo
      who:   agency/cancel-flight
      event: trip.confirmed v1
      mend:  name an event of another step that agency undoes, or leave .after_undo_of::<…>() out
    the undo waits for the undo of something that its service does not undo
      who:   agency/cancel-hotel
      event: hotel.booked v1
      mend:  name an event of another step that agency undoes, or leave .after_undo_of::<…>() out
    ");
}

/// What leads to a circle, or away from it, isn't in it.
#[test]
fn only_undos_of_the_circle_are_named() {
    let facts = ["a", "b", "c", "d"].map(|name| (name, format!("agency.{name}")));
    let after: [&[&str]; 4] = [&[], &["agency.c"], &["agency.a", "agency.b"], &["agency.b"]];
    let reactions = facts.iter().zip(after).flat_map(|((name, fact), after)| {
        let mut undo = undo(name, fact, &["trip.cancelled"], vec![]);
        undo.after_undo_of = events(after);
        [react(&format!("do-{name}"), &["trip.requested"], all(&[fact])), undo]
    });
    let agency = manifest("agency", vec![], reactions.collect());
    let findings = Choreography::of([agency.clone()]).check().into_iter();
    let circles: Vec<_> = findings.filter(|finding| finding.rule == Rule::UndosInCircle).collect();
    assert_eq!(circles.len(), 1, "{circles:?}");
    insta::assert_snapshot!(circles[0], @r"
    the undos wait for one another
      who:   agency/b
      mend:  leave .after_undo_of::<…>() out of one of b, c
    ");
    let before = |undo: usize| {
        let before = agency.undos_before(&agency.reactions[undo]);
        before.into_iter().map(|undo| undo.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((before(1), before(7)), (vec![], vec!["b", "c", "a"]));
}

/// A join runs once a saga.
#[test]
fn a_cycle_through_a_join_stops() {
    let mut manifests = trip().manifests().to_vec();
    manifests[0].reactions.push(join("remind", &[&["flight.booked"], &["flight.nudged"]], all(&["trip.reminded"])));
    manifests[1].reactions.push(react("nudge", &["trip.reminded", "trip.requested"], all(&["flight.nudged"])));
    let findings = Choreography::of(manifests).saga(trip().sagas()[0].clone()).check();
    assert!(findings.iter().all(|finding| finding.rule != Rule::Cycle), "{findings:?}");
}

/// One of its parts comes only then.
#[test]
fn a_join_after_completion_that_gives_up() {
    let late = |part: &str| {
        let mut manifests = trip().manifests().to_vec();
        let mut send = join("send", &[&["flight.booked"], &[part]], vec![]);
        send.gives_up_with = Some(event("trip.unsent"));
        manifests[0].reactions.push(send);
        let findings = Choreography::of(manifests).saga(trip().sagas()[0].clone()).check();
        findings.iter().any(|finding| finding.rule == Rule::FailsAfterCompletion)
    };
    assert!(late("trip.confirmed"));
    assert!(!late("hotel.booked"));
}

#[test]
fn the_travel_drawn() {
    let travel = travel::choreography();
    insta::assert_snapshot!("map", travel.map());
    insta::assert_snapshot!("graph_for_mermaid", travel.mermaid());
    let told =
        travel.paths(&travel::saga()).into_iter().map(|path| format!("# {}\n\n{}\n", path.title, path.sequence.text()));
    insta::assert_snapshot!("paths", told.collect::<String>());
}
