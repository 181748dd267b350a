//! Items by broken rules, and two opinions about them.

use stateright::{Checker as _, Model as _};

use super::{
    Choreography, Listeners, Model, Rules, ViolationKind,
    search::{self, Found},
    seats::seats,
    shop::{self, all, decides, each, entry, event, events, every, list, manifest, one_of, react, undo},
};
use crate::{
    Emission, Reaction, Saga,
    items::{self, Sizes},
    ledger::{self, Forward, Undo},
    model::COMBINATIONS_MAX,
};

/// A choreography of one saga, with so many items of each list, in the order of their names.
fn expanded(choreography: &Choreography, sizes: &[usize]) -> (Choreography, Saga) {
    let combinations = items::combinations(choreography, &choreography.sagas()[0], COMBINATIONS_MAX).unwrap();
    let is_it = |it: &&Sizes| it.iter().map(|(_, size)| size).eq(sizes.iter().copied());
    let sizes = combinations.iter().find(is_it).unwrap();
    items::expand(choreography, &choreography.sagas()[0], sizes)
}

pub(super) fn model(choreography: &Choreography, sizes: &[usize]) -> Model {
    let (choreography, saga) = expanded(choreography, sizes);
    Model::of(&choreography, &saga, Listeners::ThatMatter)
}

#[test]
fn two_seats_are_two_copies() {
    insta::assert_snapshot!(expanded(&seats(), &[2]).0.map());
}

/// Two lines of an order, which itself begins with them: each is packed and then labelled, or the order is cancelled.
fn order() -> Choreography {
    let placed = [list(&["order.placed"]), vec![Emission::Scheduled(events(&["order.overdue"]))]].concat();
    let pack = each("pack", "order.placed", one_of(&["packs.packed", "packs.refused"]));
    let unpack = undo("unpack", "packs.packed", &["order.cancelled"], vec![]);
    let packs = vec![
        Reaction { gives_up_with: Some(event("packs.refused")), ..pack },
        Reaction { after_undo_of: events(&["packs.labelled"]), ..unpack },
        each("label", "packs.packed", all(&["packs.labelled"])),
        undo("unlabel", "packs.labelled", &["order.cancelled"], vec![]),
    ];
    let reactions = vec![
        every("confirm", "packs.labelled", &[], decides(&["order.confirmed"])),
        react("cancel", &["packs.refused", "order.overdue"], decides(&["order.cancelled"])),
    ];
    let services = [manifest("order", vec![entry("place", placed)], reactions), manifest("packs", vec![], packs)];
    Choreography::of(services).saga(shop::saga())
}

#[test]
fn two_lines_of_an_order_that_begins_with_them() {
    order().explore(&shop::saga()).unwrap();
    let (two, saga) = expanded(&order(), &[2]);
    assert_eq!(saga.starts_with, Some(event("order.placed (item 1 of 2)")));
    let reactions = &two.manifests()[1].reactions;
    assert_eq!(reactions[1].gives_up_with, Some(event("packs.refused (item 2 of 2)")));
    assert_eq!(reactions[3].after_undo_of, events(&["packs.labelled (item 1 of 2)", "packs.labelled (item 2 of 2)"]));
}

#[test]
fn with_one_seat_all_names_are_as_they_were() {
    let (one, saga) = expanded(&seats(), &[1]);
    assert_eq!(saga, seats().sagas()[0]);
    let map = seats().map().replace("every ", "").replace(", for each item", "");
    assert_eq!(one.map(), map.replace("each flight.seat-wanted or else flight.no-seats", "flight.seat-wanted"));
}

#[test]
fn without_a_seat_the_list_says_so_and_nothing_else_changes() {
    let ([none, one], map) = ([0, 1].map(|size| expanded(&seats(), &[size]).0), Choreography::map);
    assert_eq!(map(&none), map(&one).replacen("─▶ flight.seat-wanted", "─▶ flight.no-seats", 1));
    assert_ne!(map(&none), map(&one));
}

#[test]
fn stateright_finds_the_same_states_of_two_seats() {
    let two = || model(&seats(), &[2]);
    let theirs = two().checker().spawn_bfs().join();
    theirs.assert_no_discovery("sound");
    assert_eq!(theirs.unique_state_count(), search::whole(&two()).unwrap().states);
}

/// What is found in two seats by broken rules, and with an effect.
fn broken(rules: Rules) -> Found {
    let mut manifests = seats().manifests().to_vec();
    manifests[1].reactions[1].effect = true;
    let seats = Choreography::of(manifests).saga(seats().sagas()[0].clone());
    search::whole(&model(&seats, &[2])).unwrap();
    search::whole(&Model { rules, ..model(&seats, &[2]) }).unwrap_err()
}

#[test]
fn an_item_that_starts_although_the_step_is_barred_is_found() {
    let forward = |state| if state == Some(ledger::State::Barred) { Forward::Run } else { ledger::forward(state) };
    let found = broken(Rules { forward, ..Rules::RUNTIME });
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn an_item_that_is_not_waited_for_is_found() {
    let undo = |state| if state == Some(ledger::State::Running) { Undo::Skip } else { ledger::undo(state) };
    let found = broken(Rules { undo, ..Rules::RUNTIME });
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn an_undo_that_misses_an_item_is_found() {
    let (two, saga) = expanded(&seats(), &[2]);
    let mut manifests = two.manifests().to_vec();
    manifests[1].reactions.retain(|reaction| reaction.name != "release-seat (item 2 of 2)");
    let found = search::reduced(&Model::of(&Choreography::of(manifests), &saga, Listeners::ThatMatter)).unwrap_err();
    let steps = vec!["flight/reserve-seat (item 2 of 2) (done)".to_owned()];
    assert_eq!(found.kind, ViolationKind::NotUndone { steps });
}

#[test]
fn a_join_that_misses_an_item_is_found() {
    let (two, saga) = expanded(&seats(), &[2]);
    let mut manifests = two.manifests().to_vec();
    let join = manifests[1].reactions.last_mut().unwrap();
    *join = react("seats-ready", &["flight.seat-reserved (item 1 of 2)"], all(&["flight.booked"]));
    let found = search::reduced(&Model::of(&Choreography::of(manifests), &saga, Listeners::ThatMatter)).unwrap_err();
    let steps = vec!["flight/reserve-seat (item 2 of 2) (barred)".to_owned()];
    assert_eq!(found.kind, ViolationKind::CompletedWithout { steps });
}

/// A saga with so many lists, each with what is emitted in place of an empty one.
fn lists(count: usize) -> Choreography {
    let services = (0..count).map(|number| {
        let [wanted, none, done] = ["wanted", "none", "done"].map(|fact| format!("lines{number}.{fact}"));
        let reactions = vec![
            react("split", &["order.placed"], list(&[&wanted, &none])),
            each("do", &wanted, all(&[&done])),
            undo("undo", &done, &["order.cancelled"], vec![]),
        ];
        manifest(&format!("lines{number}"), vec![], reactions)
    });
    let order = manifest(
        "order",
        vec![entry("place", all(&["order.placed"])), entry("cancel", decides(&["order.cancelled"]))],
        vec![react("confirm", &["order.placed"], decides(&["order.confirmed"]))],
    );
    Choreography::of(services.chain([order])).saga(shop::saga())
}

#[test]
fn too_many_lists_are_not_called_sound() {
    let combinations = |count| items::combinations(&lists(count), &shop::saga(), COMBINATIONS_MAX);
    assert_eq!(combinations(3).unwrap().len(), 27);
    let found = lists(4).explore(&shop::saga()).unwrap_err();
    insta::assert_snapshot!(found, @"saga order: it was not checked: its lists have more than 27 combinations of no, 1 and 2 items: lines0.wanted, lines1.wanted, lines2.wanted, lines3.wanted; split some of them off into sagas of their own");
}

/// The sizes that the lists of a saga are explored with.
fn sizes(choreography: &Choreography, saga: &Saga) -> Vec<Vec<usize>> {
    let combinations = items::combinations(choreography, saga, COMBINATIONS_MAX).unwrap();
    combinations.iter().map(|sizes| sizes.iter().map(|(_, size)| size).collect()).collect()
}

#[test]
fn a_list_that_must_not_be_empty_has_no_empty_one() {
    let mut manifests = seats().manifests().to_vec();
    assert_eq!(sizes(&seats(), &seats().sagas()[0]), [[1], [0], [2]]);
    manifests[1].reactions[0].emits = list(&["flight.seat-wanted"]);
    let must = Choreography::of(manifests);
    assert_eq!(sizes(&must, &seats().sagas()[0]), [[1], [2]]);
}

/// It begins with one, and the other lists are those of another saga.
#[test]
fn a_saga_that_starts_with_an_item_has_one() {
    let lines = list(&["order.placed", "order.empty"]);
    let order = manifest("order", vec![entry("place", lines)], vec![]);
    let trip = seats().sagas()[0].clone();
    let both = Choreography::of(seats().manifests().iter().cloned().chain([order])).saga(trip).saga(shop::saga());
    assert_eq!(sizes(&both, &both.sagas()[0]), [[1], [0], [2]]);
    assert_eq!(sizes(&both, &both.sagas()[1]), [[1], [2]]);
}
