//! All services and their provider, simulated under faults.

use pavane_testkit::{Fault, simulate};

use crate::system::travel;

#[test]
fn it_holds_under_faults() {
    let outcome = simulate(travel).sagas(10).seeds(0..8).run();
    assert!(outcome.counterexample.is_none(), "{outcome}");
    // A simulation in which nothing goes wrong proves nothing.
    for fault in [Fault::Crash, Fault::Kill, Fault::LostRequest, Fault::LostAnswer, Fault::Interlude] {
        assert!(outcome.faults.of(fault) > 0, "no {fault:?} in {outcome}");
    }
}
