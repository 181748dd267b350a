//! The shop's five services and the payment provider, simulated under faults.

#[path = "../../examples/shop/books.rs"]
mod books;
#[path = "../../examples/shop/provider.rs"]
mod provider;
#[path = "../../examples/shop/system.rs"]
mod system;

use std::io::{self, Write as _};

use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::{Bug, Fault, Plan, simulate};

const SAGAS: usize = 15;

#[test]
fn the_same_plan_has_the_same_trace() {
    let simulation = simulate(system::shop);
    for seed in 0..8 {
        let (first, second) = (simulation.replay(Plan::of(seed, 8)), simulation.replay(Plan::of(seed, 8)));
        assert_eq!(first.trace.to_string(), second.trace.to_string(), "seed {seed}");
        assert_eq!(first, second);
    }
}

#[test]
fn it_holds_under_faults() {
    let outcome = simulate(system::shop).sagas(SAGAS).seeds(0..40).run();
    assert!(outcome.counterexample.is_none(), "{outcome}");
    // A simulation in which nothing goes wrong proves nothing.
    for fault in Fault::ALL {
        assert!(outcome.faults.of(fault) > 0, "no {fault:?} in {outcome}");
    }
    assert!(outcome.batches > 100, "{outcome}");
}

/// Other seeds each time: told before they are run, and outside of what the test harness keeps back.
#[test]
fn it_holds_under_faults_that_nobody_has_seen_yet() {
    const SEEDS: u64 = 20;
    let first = SystemClock.random() >> 32;
    let told = writeln!(
        io::stderr(),
        "fresh seeds {first} to {}; to replay one: cargo run -p shop-tests --example shop -- SEED --sagas {SAGAS}",
        first + SEEDS - 1
    );
    told.unwrap();
    simulate(system::shop).sagas(SAGAS).seeds(first..first + SEEDS).assert();
}

/// The books of the shop are no formality.
#[test]
fn mistakes_are_found_in_its_books() {
    for bug in [Bug::LedgerWriteLost, Bug::UndoFirstIgnored, Bug::FireAndForget, Bug::RowsNotKept] {
        let wrong = simulate(system::shop).planting(bug).sagas(SAGAS).seeds(0..40).first_wrong();
        assert!(wrong.is_some(), "nobody notices {bug:?}");
    }
}
