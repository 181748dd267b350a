//! The demo, on real servers.

use std::process::Command;

/// Every kind of trip, in services of two processes each, one of which is killed every second. The provider's late answers alone take longer.
#[test]
fn the_books_balance_while_services_are_killed() {
    let demo =
        Command::new(env!("CARGO_BIN_EXE_travel")).args(["--trips", "40", "--kill-every", "1"]).output().unwrap();
    let (output, errors) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    println!("{output}{errors}");
    assert!(demo.status.success() && output.contains("The books balance."));
    let kills = output.rsplit_once("started again: ").and_then(|(_, kills)| kills.trim().parse::<u32>().ok());
    assert!(kills.is_some_and(|kills| kills > 0), "{kills:?}");
}
