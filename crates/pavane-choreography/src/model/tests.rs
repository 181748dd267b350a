//! Has the checker teeth, and does an independent one agree with it?

use stateright::{Checker as _, Model as _, Property};

use super::{
    Listeners, Model, Move, ViolationKind,
    rules::Rules,
    search::{self, Found},
    state::State,
};
use crate::{
    Choreography, Saga,
    ledger::{self, Forward, Undo},
};

mod any;
mod items;
mod joins;
mod reach;
mod reduced;

// The same shop as in the integration tests.
#[path = "../../tests/it/shop.rs"]
mod shop;

// The same trips as in the integration tests.
#[path = "../../tests/it/seats.rs"]
mod seats;

fn shop() -> Model {
    Model::of(&shop::choreography(), &shop::saga(), Listeners::ThatMatter)
}

/// The shop without the undo of its capture.
fn shop_without_refund() -> Model {
    let mut manifests = shop::manifests();
    for manifest in &mut manifests {
        manifest.reactions.retain(|reaction| reaction.name != "refund-payment");
    }
    Model::of(&Choreography::of(manifests), &shop::saga(), Listeners::ThatMatter)
}

impl stateright::Model for Model {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        self.beginnings().into_iter().filter_map(|begin| self.next(&self.nothing_yet(), begin)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        self.moves(state, actions);
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        self.next(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let sound = |model: &Self, state: &State| {
            let mut moves = Vec::new();
            model.moves(state, &mut moves);
            let is_end = !moves.into_iter().any(|step| step.must_happen() && model.next(state, step).is_some());
            model.wrong_now(state).is_none() && !(is_end && model.wrong_at_the_end(state).is_some())
        };
        vec![Property::always("sound", sound)]
    }
}

#[test]
fn stateright_finds_the_same_states_and_no_violation() {
    let ours = search::whole(&shop()).unwrap();
    let theirs = shop().checker().spawn_bfs().join();
    theirs.assert_no_discovery("sound");
    assert_eq!(theirs.unique_state_count(), ours.states);
}

#[test]
fn stateright_finds_no_shorter_counterexample() {
    let ours = search::whole(&shop_without_refund()).unwrap_err();
    let theirs = shop_without_refund().checker().spawn_bfs().join();
    let theirs = theirs.discovery("sound").unwrap().into_actions();
    // It counts from the first state, we from the move that leads there.
    assert_eq!(ours.moves.len(), theirs.len() + 1);
}

/// The shop, run by broken rules.
fn broken(rules: Rules) -> Found {
    let model = Model { rules, ..shop() };
    search::whole(&model).unwrap_err()
}

#[test]
fn an_undo_that_comes_first_and_is_forgotten_is_found() {
    let undo = |state: Option<_>| if state.is_none() { Undo::Skip } else { ledger::undo(state) };
    let found = broken(Rules { undo, ..Rules::RUNTIME });
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn an_undo_that_does_not_wait_for_a_running_effect_is_found() {
    let bars = |state| if state == Some(ledger::State::Running) { Undo::Bar } else { ledger::undo(state) };
    let skips = |state| if state == Some(ledger::State::Running) { Undo::Skip } else { ledger::undo(state) };
    let rules = [Rules { undo: bars, ..Rules::RUNTIME }, Rules { undo: skips, ..Rules::RUNTIME }];
    for found in rules.map(broken) {
        assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
    }
}

#[test]
fn a_step_that_runs_although_it_is_barred_is_found() {
    let forward = |state| match state {
        Some(ledger::State::Barred) => Forward::Run,
        state => ledger::forward(state),
    };
    let found = broken(Rules { forward, ..Rules::RUNTIME });
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn an_entry_point_that_is_used_although_it_is_barred_is_found() {
    let redeem = shop::entry("redeem", shop::all(&["voucher.redeemed"]));
    let restore = shop::undo("restore", "voucher.redeemed", &["order.cancelled"], Vec::new());
    let manifests = [shop::manifests(), vec![shop::manifest("voucher", vec![redeem], vec![restore])]].concat();
    let model = Model::of(&Choreography::of(manifests), &shop::saga(), Listeners::ThatMatter);
    search::whole(&model).unwrap();
    let forward = |state| match state {
        Some(ledger::State::Barred) => Forward::Run,
        state => ledger::forward(state),
    };
    let model = Model { rules: Rules { forward, ..Rules::RUNTIME }, ..model };
    let found = search::whole(&model).unwrap_err();
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn giving_up_on_an_effect_that_may_have_happened_is_found() {
    let mut model = shop();
    let failed = model.events.iter().position(|event| event.name == "payment.capture-failed").unwrap();
    let capture = model.actors.iter_mut().find(|actor| actor.name == "capture-payment").unwrap();
    capture.gives_up_with = Some(failed.try_into().unwrap());
    assert_eq!(
        search::whole(&model).unwrap_err().kind,
        ViolationKind::NotUndone {
            steps: vec!["payment/capture-payment (barred, but it may have happened)".to_owned()]
        }
    );
}

#[test]
fn a_second_event_for_a_step_is_found() {
    let mut manifests = shop::manifests();
    manifests[2].reactions[0].on.push(shop::event("order.placed"));
    let model = Model::of(&Choreography::of(manifests), &shop::saga(), Listeners::ThatMatter);
    let found = search::whole(&model).unwrap_err();
    assert!(matches!(found.kind, ViolationKind::StepTwice { .. }), "{found:?}");
}

#[test]
fn a_no_that_counts_as_done_is_found() {
    let found = broken(Rules { settle: |_| ledger::State::Done, ..Rules::RUNTIME });
    assert!(matches!(found.kind, ViolationKind::NotUndone { .. }), "{found:?}");
}

#[test]
fn two_outcomes_are_found() {
    let found = broken(Rules { one_outcome: false, ..Rules::RUNTIME });
    assert_eq!(found.kind, ViolationKind::BothOutcomes);
}

/// The ledger and the outcome alone make the shop's reactions idempotent; one that has neither needs the inbox.
#[test]
fn a_missing_inbox_is_found_where_nothing_else_stops_a_duplicate() {
    search::whole(&Model { rules: Rules { inbox: false, ..Rules::RUNTIME }, ..shop() }).unwrap();

    let unguarded = shop::manifest(
        "order",
        vec![shop::entry("place-order", shop::all(&["order.placed"]))],
        vec![
            shop::react("count", &["order.placed"], shop::all(&["order.counted"])),
            shop::react("confirm-order", &["order.counted"], shop::decides(&["order.confirmed"])),
        ],
    );
    let saga = Saga::new("order").starts_with::<shop::OrderPlaced>().completes_with::<shop::OrderConfirmed>();
    let mut model = Model::of(&Choreography::of([unguarded]), &saga, Listeners::ThatMatter);
    // It has no deadline, which isn't what this is about.
    for actor in &mut model.actors {
        actor.may_be_lost = false;
    }
    search::whole(&model).unwrap();
    let found = search::whole(&Model { rules: Rules { inbox: false, ..Rules::RUNTIME }, ..model }).unwrap_err();
    assert!(matches!(found.kind, ViolationKind::Endless { .. }), "{found:?}");
}
