//! The simulation holds what it promises: the same seed is the same run, and what is wrong is found.

use pavane_choreography::Choreography;
use pavane_testkit::{Bug, Fault, Plan, simulate};

use crate::{books, bugs, trip, trips};

#[test]
fn the_same_plan_has_the_same_trace() {
    let simulation = simulate(books::shop);
    for seed in 0..8 {
        let (first, second) = (simulation.replay(Plan::of(seed, 5)), simulation.replay(Plan::of(seed, 5)));
        assert_eq!(first.trace.to_string(), second.trace.to_string(), "seed {seed}");
        assert_eq!(first, second);
    }
}

#[test]
fn the_shop_holds_under_faults() {
    simulate(books::shop).sagas(15).seeds(0..40).assert();
}

/// What is written in its four wiring tables.
#[test]
fn a_trip_that_forks_and_joins_is_sound() {
    let (trips, hotel) =
        (trip::trip(trip::Points::default()).manifest(), trip::hotel(trip::Hotel::default()).manifest());
    let choreography = Choreography::of([trips, trip::flight().manifest(), hotel, trip::car().manifest()]);
    choreography.saga(trip::saga()).assert_sound();
}

#[test]
fn a_trip_that_forks_and_joins_holds_under_faults() {
    simulate(trips::trips).sagas(15).seeds(0..30).assert();
    simulate(trips::trips).on_postgres().sagas(5).seeds(0..2).assert();
}

#[test]
fn every_planted_mistake_is_found() {
    let found = bugs::find_all();
    let missed: Vec<_> = found.iter().filter(|found| found.seeds.is_none()).map(ToString::to_string).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let page = include_str!("../../../../docs/planted-bugs.md");
    for row in found.iter().map(ToString::to_string) {
        // The seeds that it takes change with the dice.
        let what = row.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
        assert!(page.contains(&what), "docs/planted-bugs.md lacks {row}: make its table anew");
    }
}

#[test]
fn what_goes_wrong_is_shown_with_no_more_than_it_needs() {
    let simulation = simulate(books::shop).planting(Bug::RunningIgnored);
    let found = (0..10).map(|seed| simulation.replay(hasty(seed))).find(|run| !run.violations.is_empty());
    let found = found.expect("it is found");
    let (sagas, faults) = (found.plan.sagas, found.faults.clone());
    assert!(sagas == 10 && Fault::ALL.iter().filter(|fault| faults.of(**fault) > 0).count() > 6, "{faults}");
    let counterexample = simulation.shrink(found);
    println!("{counterexample}");
    let Plan { sagas, instances, only, .. } = &counterexample.run.plan;
    assert_eq!((*sagas, *instances), (1, 1), "{counterexample}");
    assert!(only.as_ref().is_some_and(|only| only.len() <= 3), "{counterexample}");
    let again = simulation.replay(counterexample.run.plan.clone());
    assert_eq!(again, counterexample.run);
    let shown = counterexample.to_string();
    assert!(shown.contains("payment/refund has not handled order.cancelled"), "{shown}");
    // However wide the columns are.
    let dense = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(dense.contains("payment#0/refund gets order.cancelled") && shown.lines().count() < 60, "{shown}");
}

/// A plan with all kinds of faults, in which customers often change their minds while the bank can't be reached: only then an
/// undo waits for a step that is running, and by the dice of [`Plan::of`] alone that comes once in fifty runs.
fn hasty(seed: u64) -> Plan {
    let mut plan = Plan::of(seed, 10);
    plan.instances = 2;
    let faults = &mut plan.faults;
    (faults.interlude, faults.lost_request, faults.lost_answer) = (0.1, 0.3, 0.5);
    (faults.crash, faults.kill, faults.standstill) = (0.01, 0.002, 0.05);
    (faults.rollback, faults.outage, faults.lost_consumer) = (0.002, 0.002, 0.001);
    (faults.bus.drop_publish, faults.bus.lose_ack, faults.bus.reorder) = (0.05, 0.1, 0.2);
    plan
}

/// The same services on a real PostgreSQL, by the same clock.
#[test]
fn on_postgresql_the_shop_holds_under_faults_and_the_same_plan_has_the_same_trace() {
    let simulation = simulate(books::shop).on_postgres().sagas(5).seeds(0..4);
    simulation.assert();
    let (first, second) = (simulation.replay(Plan::of(7, 5)), simulation.replay(Plan::of(7, 5)));
    assert_eq!(first.trace.to_string(), second.trace.to_string());
    assert_eq!(first, second);
}
