//! The result, for people.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets::ASCII_BORDERS_ONLY_CONDENSED};

use super::{audit::Check, scenario::Scenario, traveller::Settled};

/// The result as tables.
pub fn text(trips: &[Settled], checks: &[Check]) -> String {
    let mut by_scenario: BTreeMap<Scenario, Vec<&Settled>> = BTreeMap::new();
    for trip in trips {
        by_scenario.entry(trip.scenario).or_default().push(trip);
    }
    let mut scenarios = table(["scenario", "trips", "must end", "ended so", "median to settle"]);
    for (scenario, trips) in by_scenario {
        let mut millis: Vec<_> = trips.iter().map(|trip| trip.millis).collect();
        millis.sort_unstable();
        scenarios.add_row([
            scenario.words().to_owned(),
            trips.len().to_string(),
            scenario.cancel_reason().map_or("confirmed".to_owned(), |reason| format!("cancelled: {reason}")),
            trips.iter().filter(|trip| trip.is_as_expected()).count().to_string(),
            format!("{} ms", millis[millis.len() / 2]),
        ]);
    }
    let mut audit = table(["audit", "should be", "is", ""]);
    for check in checks {
        let mark = if check.passed() { "✓" } else { "✗" };
        audit.add_row([check.what.clone(), check.expected.to_string(), check.found.to_string(), mark.to_owned()]);
    }
    let unexpected: String = trips.iter().filter(|trip| !trip.is_as_expected()).take(20).map(describe).collect();
    let outcome = if checks.iter().all(Check::passed) { "The books balance." } else { "THE BOOKS DO NOT BALANCE." };
    format!("{scenarios}\n\n{audit}\n\n{unexpected}{outcome}")
}

fn describe(trip: &Settled) -> String {
    let reason = trip.cancel_reason.as_deref().unwrap_or("no reason");
    format!("trip {} ({}) is {}, {reason}\n", trip.trip, trip.scenario.words(), trip.status)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_BORDERS_ONLY_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
