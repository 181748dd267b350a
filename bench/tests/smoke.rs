//! What is measured still works, and what is counted stays within its budget.

use std::process::Command;

#[test]
fn every_row_works_and_allocations_and_instructions_stay_within_their_budget() {
    let bench = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--smoke").status().unwrap();
    assert!(bench.success(), "what it printed says why");
}
