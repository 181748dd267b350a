//! Items: what explores clean, and what is caught when one piece is missing or wrong.

use pavane_choreography::{Choreography, Emission, Entry, Manifest, Question, Role, Rule};

use crate::{
    mutants::noticed,
    seats::{seats, seats_and_bags, seats_and_hotel},
    shop::{all, each, entry, event, events, every, join, list, one_of, react, undo, with_effect},
    travel,
};

#[test]
fn a_seat_for_every_passenger() {
    seats().assert_sound();
    insta::assert_snapshot!(seats().explore(&seats().sagas()[0]).unwrap(), @"saga trip: 244 states by 358 moves, up to 11 moves deep, stand for every interleaving; all of its 28 ends are sound (4 completed, 24 aborted), with no, 1 and 2 items of flight.seat-wanted");
}

#[test]
fn a_piece_of_the_seats_that_is_missing_is_noticed() {
    insta::assert_snapshot!(noticed(&seats()));
}

#[test]
fn a_seat_for_every_passenger_and_a_hotel() {
    let trip = seats_and_hotel();
    trip.assert_sound();
    insta::assert_snapshot!(trip.explore(&trip.sagas()[0]).unwrap(), @"saga trip: 1640 states by 2743 moves, up to 13 moves deep, stand for every interleaving; all of its 80 ends are sound (4 completed, 76 aborted), with no, 1 and 2 items of flight.seat-wanted");
}

#[test]
fn two_lists() {
    let trip = seats_and_bags();
    trip.assert_sound();
    insta::assert_snapshot!(trip.explore(&trip.sagas()[0]).unwrap(), @"saga trip: 7474 states by 12407 moves, up to 19 moves deep, stand for every interleaving; all of its 306 ends are sound (12 completed, 294 aborted), with no, 1 and 2 items of bags.bag-found and with no, 1 and 2 items of flight.seat-wanted");
}

#[test]
fn a_travel_with_a_seat_for_every_passenger() {
    let travel = travel::with_seats();
    assert_eq!(travel.check(), []);
    insta::assert_snapshot!(travel.explore(&travel.sagas()[0]).unwrap(), @"saga trip: 102758 states by 176175 moves, up to 24 moves deep, stand for every interleaving; all of its 1328 ends are sound (8 completed, 1320 aborted), with no, 1 and 2 items of flight.seat-wanted");
}

/// It is noticed whatever else the saga joins.
#[test]
fn a_piece_of_a_larger_trip_that_is_missing_is_noticed() {
    for trip in [seats_and_hotel(), seats_and_bags()] {
        assert!(noticed(&trip).contains("flight: for each item of reserve-seat"));
    }
}

/// The seats after a change of the trip's and of the flight's manifest.
fn changed(change: impl FnOnce(&mut Manifest, &mut Manifest)) -> Choreography {
    let mut manifests = seats().manifests().to_vec();
    let [trip, flight] = &mut manifests[..] else { unreachable!("there are two services") };
    change(trip, flight);
    Choreography::of(manifests).saga(seats().sagas()[0].clone())
}

/// What the rules about items find after a change.
fn found(change: impl FnOnce(&mut Manifest, &mut Manifest)) -> String {
    let rules = [Rule::NoItems, Rule::ItemAsOne, Rule::ItemsHereAndThere, Rule::OfAnItem];
    let findings = changed(change).check().into_iter().filter(|finding| rules.contains(&finding.rule));
    findings.flat_map(|finding| [finding.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn items_of_an_event_that_has_none() {
    insta::assert_snapshot!(found(|_, flight| flight.reactions[0].emits = all(&["flight.seat-wanted"])), @r"
    the reaction waits for items of an event that has none
      who:   flight/reserve-seat
      event: flight.seat-wanted v1
      mend:  take &Envelope<…> in place of Each<…>, or let flight.seat-wanted be emitted as a list: .emits_each::<…>()
    ");
    let booked = |trip: &mut Manifest, _: &mut Manifest| {
        trip.reactions[0] = every("confirm", "flight.booked", &[], trip.reactions[0].emits.clone());
    };
    insta::assert_snapshot!(found(booked), @r"
    the reaction waits for items of an event that has none
      who:   trip/confirm
      event: flight.booked v1
      mend:  take the event in place of Every<…>, or let flight.booked be emitted as a list: .emits_each::<…>()
    ");
}

#[test]
fn a_step_and_a_part_that_take_one_item() {
    insta::assert_snapshot!(found(|_, flight| flight.reactions[1].role = Role::React), @r"
    the reaction waits for items of an event that has none
      who:   flight/seats-ready
      event: flight.seat-reserved v1
      mend:  take the event in place of Every<…>, or let flight.seat-reserved be emitted as a list: .emits_each::<…>()
    the event has items, and all but the first would be refused
      who:   flight/reserve-seat
      event: flight.seat-wanted v1
      path:  trip.requested → flight/split → flight.seat-wanted
      mend:  take each of its items: Each<…>, or wait for all of them: Every<…>
    ");
    let both = join("both", &[&["trip.requested"], &["flight.booked", "flight.seat-refused"]], vec![]);
    insta::assert_snapshot!(found(|trip, _| trip.reactions.push(both)), @r"
    the event has items, and all but the first would be refused
      who:   trip/both
      event: flight.seat-refused v1
      path:  trip.requested → flight/split → flight.seat-wanted → flight/reserve-seat → flight.seat-refused
      mend:  wait for all of its items: Every<…>
    ");
}

/// None has a row that would refuse the second one.
#[test]
fn a_reaction_without_a_row_may_take_each_item_as_it_comes() {
    let count = react("count", &["flight.seat-reserved"], vec![]);
    let mail = with_effect(react("mail", &["flight.seat-refused"], vec![]));
    let give_up = |trip: &mut Manifest, _: &mut Manifest| {
        trip.reactions.extend([count, mail, react("note", &["trip.requested"], all(&["trip.noted"]))]);
        trip.reactions.push(undo("forget", "trip.noted", &["flight.seat-refused"], vec![]));
    };
    assert_eq!(found(give_up), "");
}

#[test]
fn a_list_that_is_undone_as_a_whole() {
    let undo = undo("unsplit", "flight.seat-wanted", &["trip.cancelled"], vec![]);
    insta::assert_snapshot!(found(|_, flight| flight.reactions.push(undo)), @r"
    the event has items, and all but the first would be refused
      who:   flight/unsplit
      event: flight.seat-wanted v1
      mend:  undo what the reactions to flight.seat-wanted did, or let split emit an event beside it to undo
    ");
}

#[test]
fn an_event_with_items_here_and_without_there() {
    let refuse = react("refuse", &["trip.requested"], one_of(&["flight.seat-refused"]));
    insta::assert_snapshot!(found(|_, flight| flight.reactions.push(refuse)), @r"
    the event does not have the same items wherever it is emitted
      who:   flight/refuse
      event: flight.seat-refused v1
      mend:  emit another event here, or take Each<…>: it has the items of flight.seat-wanted
    ");
    let meals = [
        react("cook", &["trip.requested"], list(&["flight.meal-wanted"])),
        each("serve", "flight.meal-wanted", all(&["flight.seat-reserved"])),
    ];
    insta::assert_snapshot!(found(|_, flight| flight.reactions.extend(meals)), @r"
    the event does not have the same items wherever it is emitted
      who:   flight/serve
      event: flight.seat-reserved v1
      mend:  emit another event for the items of flight.meal-wanted: it has those of flight.seat-wanted
    ");
}

#[test]
fn a_list_a_timer_and_a_question_of_an_item() {
    let emits = |group| move |_: &mut Manifest, flight: &mut Manifest| flight.reactions[1].emits.push(group);
    insta::assert_snapshot!(found(emits(Emission::Each(events(&["flight.bag-wanted"])))), @r"
    an item can't have a list, a timer or a question of its own
      who:   flight/reserve-seat
      event: flight.bag-wanted v1
      mend:  emit all of it as one list, numbered through
    ");
    insta::assert_snapshot!(found(emits(Emission::Scheduled(events(&["flight.hold-expired"])))), @r"
    an item can't have a list, a timer or a question of its own
      who:   flight/reserve-seat
      event: flight.hold-expired v1
      mend:  schedule it once for all of them: where the list is emitted, or in a reaction on Every<…>
    ");
    let asks = Question { asks: event("flight.seat-reserved"), expires_with: None };
    let approve = Entry { answers: Some(asks), ..entry("approve", all(&["flight.seat-approved"])) };
    insta::assert_snapshot!(found(|_, flight| flight.entries.push(approve)), @r"
    an item can't have a list, a timer or a question of its own
      who:   flight/approve
      event: flight.seat-reserved v1
      mend:  ask once for all of them: let a reaction on Every<…> ask
    ");
}

/// A list is empty, or it isn't.
#[test]
fn a_join_of_a_list_and_of_what_is_emitted_in_place_of_it() {
    let both = every("both", "flight.seat-wanted", &["flight.no-seats"], vec![]);
    let findings = changed(|_, flight| flight.reactions.push(both)).check();
    assert_eq!(findings[0].rule, Rule::ExclusiveParts, "{findings:?}");
}

/// A list is never a question.
#[test]
fn a_question_that_is_a_list() {
    let flight = seats().manifests()[1].clone();
    assert_eq!(flight.asked_wrongly(&event("flight.seat-wanted")), Some(("split", "emits_each")));
    assert_eq!(flight.asked_wrongly(&event("flight.no-seats")), None);
}

#[test]
fn a_reaction_has_items_and_so_has_its_undo() {
    let flight = seats().manifests()[1].clone();
    let with_items = flight.reactions.iter().filter(|reaction| flight.has_items(reaction));
    assert_eq!(with_items.map(|reaction| &*reaction.name).collect::<Vec<_>>(), ["reserve-seat", "release-seat"]);
}

#[test]
fn an_items_step_without_an_undo() {
    let findings = changed(|_, flight| drop(flight.reactions.remove(2))).check();
    assert!(findings.iter().any(|finding| finding.rule == Rule::MissingUndo && finding.reaction == "reserve-seat"));
}

/// With one seat nothing is wrong with it.
#[test]
fn what_goes_wrong_with_two_items_only_says_so() {
    let first = |_: &mut Manifest, flight: &mut Manifest| {
        flight.reactions[3] = react("seats-ready", &["flight.seat-reserved"], all(&["flight.booked"]));
    };
    let violation = changed(first).explore(&seats().sagas()[0]).unwrap_err();
    assert_eq!((&violation.lists[0].event, &violation.lists[0].sizes[..]), (&event("flight.seat-wanted"), &[2][..]));
    insta::assert_snapshot!(violation);
}

#[test]
fn what_goes_wrong_without_items_only_says_so() {
    let silent = |_: &mut Manifest, flight: &mut Manifest| {
        flight.reactions.push(react("book-nothing", &["flight.no-seats"], all(&["flight.booked"])));
    };
    let violation = changed(silent).explore(&seats().sagas()[0]).unwrap_err();
    insta::assert_snapshot!(violation);
}

/// It aborts only, and the saga with seats completes.
#[test]
fn an_empty_list_may_have_one_outcome() {
    let exploration = seats().explore(&seats().sagas()[0]).unwrap();
    assert_eq!(exploration.lists[0].sizes, [0, 1, 2]);
}

#[test]
fn the_seats_drawn() {
    let seats = seats();
    insta::assert_snapshot!("seats_as_a_map", seats.map());
    insta::assert_snapshot!("seats_for_mermaid", seats.mermaid());
    insta::assert_snapshot!("seats_for_graphviz", seats.dot());
    let paths = seats.paths(&seats.sagas()[0]).into_iter();
    let told = paths.map(|path| format!("# {}\n\n{}\n", path.title, path.sequence.text()));
    insta::assert_snapshot!("paths_of_the_seats", told.collect::<String>());
}

/// One join waits for every seat, for a hotel and for nothing else; a path says what it waits for.
#[test]
fn a_join_of_every_seat_and_a_hotel_drawn() {
    let trip = seats_and_hotel();
    insta::assert_snapshot!("seats_and_hotel_for_mermaid", trip.mermaid());
    insta::assert_snapshot!("seats_and_hotel_for_graphviz", trip.dot());
    let path = trip.paths(&trip.sagas()[0]).swap_remove(0);
    insta::assert_snapshot!(path.sequence.text(), @r"
       outside   trip      flight    hotel
    1  ├────────▶│         │         │         request: emits trip.requested, schedules trip.overdue
    2  │         ├────────▶│         │         trip.requested → split: emits each flight.seat-wanted
    3  │         ├─────────┼────────▶│         trip.requested → hold-room: emits hotel.held
    4  │         │         ●         │         flight.seat-wanted → reserve-seat, for each item: emits flight.seat-reserved
    5  │         │◀────────┼─────────┤         hotel.held → confirm: keeps it, waits for every flight.seat-reserved
    6  │         │◀────────┤         │         every flight.seat-reserved → confirm: decides trip.confirmed
    ");
}
