//! Joins and questions by broken rules, and two opinions about them.

use std::collections::HashSet;

use stateright::{Checker as _, Model as _};

use super::{
    Choreography, Listeners, Model, Rules, State, ViolationKind,
    search::{self, Found},
    shop::{self, all, answer, decides, entry, events, join, manifest, one_of, react, undo},
};
use crate::{
    Emission, Manifest, Reaction,
    ledger::{self, Join, Undo},
    model::Part,
};

fn model(manifests: Vec<Manifest>) -> Model {
    Model::of(&Choreography::of(manifests), &shop::saga(), Listeners::ThatMatter)
}

fn broken(rules: Rules, model: Model) -> Found {
    search::whole(&Model { rules, ..model }).unwrap_err()
}

fn step(service: &str, on: &str, emits: Vec<Emission>) -> Manifest {
    let done = format!("{service}.done");
    manifest(service, vec![], vec![react("do", &[on], emits), undo("undo", &done, &["order.cancelled"], vec![])])
}

/// Payment and stock, whichever first; then all is packed, and then it is sent.
fn packed() -> Vec<Manifest> {
    let pack = join("pack", &[&["payment.done"], &["stock.done"]], all(&["pack.done"]));
    let unpack = undo("unpack", "pack.done", &["order.cancelled"], vec![]);
    let reactions = vec![
        react("confirm", &["post.done"], decides(&["order.confirmed"])),
        react("cancel", &["stock.refused", "order.overdue"], decides(&["order.cancelled"])),
    ];
    let placed = [all(&["order.placed"]), vec![Emission::Scheduled(events(&["order.overdue"]))]].concat();
    vec![
        manifest("order", vec![entry("place", placed)], reactions),
        step("payment", "order.placed", all(&["payment.done"])),
        step("stock", "order.placed", one_of(&["stock.done", "stock.refused"])),
        manifest("pack", vec![], vec![pack, unpack]),
        step("post", "pack.done", all(&["post.done"])),
    ]
}

#[test]
fn stateright_finds_the_same_states_of_a_join() {
    let ours = search::whole(&model(packed())).unwrap();
    let theirs = model(packed()).checker().spawn_bfs().join();
    theirs.assert_no_discovery("sound");
    assert_eq!(theirs.unique_state_count(), ours.states);
}

/// The row and the parts in it make it idempotent; it needs no inbox for that.
#[test]
fn a_join_that_counts_a_duplicate_as_another_part_is_found() {
    let without_inbox = Rules { inbox: false, ..Rules::RUNTIME };
    search::whole(&Model { rules: without_inbox, ..model(packed()) }).unwrap();
    let counts = |state: Option<_>, complete| ledger::join(state, complete || state.is_some());
    let found = broken(Rules { join: counts, ..without_inbox }, model(packed()));
    assert_eq!(found.kind, ViolationKind::CompletedWithout { steps: vec!["stock/do (never done)".to_owned()] },);
}

#[test]
fn a_join_that_runs_twice_is_found() {
    let again = |state, complete| match state {
        Some(ledger::State::Done) => Join::Run,
        state => ledger::join(state, complete),
    };
    let found = broken(Rules { join: again, inbox: false, ..Rules::RUNTIME }, model(packed()));
    assert_eq!(found.kind, ViolationKind::StepTwice { step: "post/do".to_owned() });
}

#[test]
fn a_join_that_forgets_a_part_is_found() {
    let forgets = |state: Option<_>, complete| if state.is_none() { Join::Skip } else { ledger::join(state, complete) };
    let found = broken(Rules { join: forgets, ..Rules::RUNTIME }, model(packed()));
    assert_eq!(found.kind, ViolationKind::NeverCompletes);
}

#[test]
fn an_undo_that_comes_while_a_join_gathers_and_is_forgotten_is_found() {
    let undo = |state| if state == Some(ledger::State::Gathering) { Undo::Skip } else { ledger::undo(state) };
    let found = broken(Rules { undo, ..Rules::RUNTIME }, model(packed()));
    assert_eq!(found.kind, ViolationKind::NotUndone { steps: vec!["pack/pack (done)".to_owned()] });
}

#[test]
fn a_second_event_for_a_part_is_found() {
    let mut manifests = packed();
    // The stock is counted beside.
    manifests[2].reactions.push(react("count", &["payment.done"], all(&["stock.done"])));
    let found = search::whole(&model(manifests)).unwrap_err();
    assert_eq!(found.kind, ViolationKind::StepTwice { step: "pack/pack".to_owned() });
}

#[test]
fn a_join_that_waits_for_ever_names_what_it_waits_for() {
    let mut manifests = packed();
    manifests[0].reactions[1].on = events(&["order.lost"]);
    let found = search::whole(&Model { give_ups: false, ..model(manifests) }).unwrap_err();
    let gathering = vec!["pack/pack waits for stock.done".to_owned()];
    assert_eq!(found.kind, ViolationKind::NoOutcome { gathering });
}

#[test]
fn a_saga_that_completes_without_a_part_names_it() {
    let mut manifests = packed();
    manifests[0].reactions[0].on = events(&["payment.done"]);
    manifests[2].reactions[0].emits = vec![Emission::Maybe(events(&["stock.refused"]))];
    manifests[2].reactions.pop();
    let found = search::whole(&model(manifests)).unwrap_err();
    let steps = vec!["pack/pack (gathering, waits for stock.done)".to_owned()];
    assert_eq!(found.kind, ViolationKind::CompletedWithout { steps });
}

/// A customer may take a gift, or lets the time for it pass.
fn gift() -> Vec<Manifest> {
    let placed =
        [all(&["order.placed", "order.gift-offered"]), vec![Emission::Scheduled(events(&["order.gift-expired"]))]]
            .concat();
    let take = answer("take-gift", "order.gift-offered", Some("order.gift-expired"), all(&["order.gift-taken"]));
    let reactions = vec![
        react("do-without", &["order.gift-expired"], all(&["order.no-gift"])),
        join("confirm", &[&["order.placed"], &["order.gift-taken", "order.no-gift"]], decides(&["order.confirmed"])),
    ];
    let mut entries = vec![entry("place", placed), take];
    // So that it can abort.
    entries.push(entry("cancel", decides(&["order.cancelled"])));
    vec![manifest("order", entries, reactions)]
}

#[test]
fn an_answer_that_comes_too_late_is_found() {
    let mut saga = shop::saga();
    saga.without_undo = events(&["order.no-gift"]);
    let gift = Model::of(&Choreography::of(gift()), &saga, Listeners::ThatMatter);
    // It has no other deadline, which isn't what this is about.
    let gift = Model { give_ups: false, ..gift };
    let whole = search::whole(&gift).unwrap();
    let reduced = search::reduced(&gift).unwrap();
    assert_eq!((whole.completed, whole.aborted), (reduced.completed, reduced.aborted));
    let found = broken(Rules { expires: false, ..Rules::RUNTIME }, gift);
    assert_eq!(found.kind, ViolationKind::StepTwice { step: "order/confirm".to_owned() });
}

/// All that can be reached.
fn reached(model: &Model) -> HashSet<State> {
    let nothing_yet = model.nothing_yet();
    let mut todo: Vec<State> = model.beginnings().into_iter().filter_map(|by| model.next(&nothing_yet, by)).collect();
    let mut reached = HashSet::new();
    while let Some(state) = todo.pop() {
        let mut moves = Vec::new();
        model.moves(&state, &mut moves);
        let next = moves.into_iter().filter_map(|by| model.next(&state, by)).collect::<Vec<_>>();
        if reached.insert(state) {
            todo.extend(next);
        }
    }
    reached
}

#[test]
fn an_undo_comes_after_another_one() {
    let both = |after: &[&str]| -> Vec<Manifest> {
        let mut manifests = packed();
        let [payment, stock] = [manifests.remove(1), manifests.remove(1)];
        let mut reactions: Vec<Reaction> = [payment.reactions, stock.reactions].concat();
        reactions[1].after_undo_of = events(after);
        for (number, reaction) in reactions.iter_mut().enumerate() {
            reaction.name = format!("{}{number}", reaction.name);
        }
        manifests.push(manifest("payment", vec![], reactions));
        manifests
    };
    // A payment is given back while the stock is still reserved.
    let early = |model: &Model| {
        let [payment, stock] = ["payment.done", "stock.done"].map(|done| {
            let emits = |step: &usize| match &model.actors[*step].part {
                Part::Step { done: events, .. } => events.iter().any(|event| model.event(*event) == done),
                Part::Start | Part::Entry | Part::Elsewhere | Part::Plain | Part::Undo { .. } => false,
            };
            model.steps.iter().position(emits).unwrap()
        });
        reached(model).into_iter().any(|state| {
            let [payment, stock] = [payment, stock].map(|row| state.rows[row].state);
            payment == Some(ledger::State::Undone) && stock == Some(ledger::State::Done)
        })
    };
    assert!(early(&model(both(&[]))));
    let ordered = model(both(&["stock.done"]));
    assert!(!early(&ordered));
    search::whole(&ordered).unwrap();
    let found = search::whole(&model(both(&["payment.done"]))).unwrap_err();
    assert!(matches!(found.kind, ViolationKind::WaitsForEver { .. }), "{found:?}");
}
