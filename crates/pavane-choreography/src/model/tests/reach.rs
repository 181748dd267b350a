//! How much of a large saga has to be looked at.

use super::{Choreography, Listeners, Model, search};

// The same as in the example that measures.
#[path = "../../../tests/it/wide.rs"]
mod wide;

use super::shop;

fn model(choreography: &Choreography) -> Model {
    Model::of(choreography, &choreography.sagas()[0], Listeners::ThatMatter)
}

fn states(steps: usize, branches: usize) -> usize {
    search::reduced(&model(&wide::wide(steps, branches))).unwrap().states
}

#[test]
fn the_large_ones_have_nothing_wrong_that_shows_without_running_them() {
    assert_eq!(wide::wide(3, 2).check(), []);
}

/// Each undo is tried before and after its own step, not before and after the other undos.
#[test]
fn a_step_more_in_a_line_costs_no_more_than_it_did_before() {
    let [ten, twenty, forty] = [10, 20, 40].map(|steps| states(steps, 0));
    // The deadline may pass at any of the steps, so it grows with the square.
    assert!(twenty < 5 * ten && forty < 5 * twenty, "{ten}, {twenty}, {forty}");
}

#[test]
fn eight_branches_are_explored_to_the_end() {
    assert!(states(1, 8) < 100_000);
}

#[test]
fn steps_and_a_join_are_explored_to_the_end() {
    assert_eq!(wide::joined(3).check(), []);
    assert!(search::reduced(&model(&wide::joined(4))).unwrap().states < 20_000);
}

#[test]
fn what_is_too_large_is_not_called_sound_and_names_what_to_split() {
    let wide = wide::wide(1, 4);
    let found = search::reduced(&Model { states_max: 50, ..model(&wide) }).unwrap_err();
    insta::assert_snapshot!(found.kind, @"it was not checked: it has more than 50 states that differ, because each of these may come before or after the others: order/cancel, step0/do, branch0/do, branch1/do, branch2/do, branch3/do; let some of them follow one another, or split them off into sagas of their own");
    assert!(found.moves.is_empty());
}
