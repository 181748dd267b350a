//! The result, for people and for programs.

use std::collections::BTreeMap;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::ASCII_BORDERS_ONLY_CONDENSED};
use serde_json::json;

use crate::{
    audit::{Audit, Check},
    customer::Settled,
    scenario::Scenario,
    shop::Running,
};

/// One line of the result: a scenario, and its orders.
struct Row<'a> {
    scenario: Scenario,
    orders: Vec<&'a Settled>,
}

impl Row<'_> {
    fn unexpected(&self) -> usize {
        self.orders.iter().filter(|order| !order.is_as_expected()).count()
    }

    fn median_millis(&self) -> u128 {
        let mut millis: Vec<_> = self.orders.iter().map(|order| order.millis).collect();
        millis.sort_unstable();
        millis.get(millis.len() / 2).copied().unwrap_or_default()
    }
}

fn rows(orders: &[Settled]) -> Vec<Row<'_>> {
    let mut rows: BTreeMap<Scenario, Vec<&Settled>> = BTreeMap::new();
    for order in orders {
        rows.entry(order.scenario).or_default().push(order);
    }
    rows.into_iter().map(|(scenario, orders)| Row { scenario, orders }).collect()
}

/// The result as tables.
pub fn text(orders: &[Settled], audit: &Audit) -> String {
    let mut scenarios = table(["scenario", "orders", "must end", "ended so", "median to settle"]);
    for row in rows(orders) {
        let end = row.scenario.cancel_reason().map_or("confirmed".to_owned(), |reason| format!("cancelled: {reason}"));
        let as_expected = row.orders.len() - row.unexpected();
        scenarios.add_row([
            row.scenario.words().to_owned(),
            row.orders.len().to_string(),
            end,
            as_expected.to_string(),
            format!("{} ms", row.median_millis()),
        ]);
    }
    let mut checks = table(["audit", "should be", "is", ""]);
    for check in &audit.checks {
        let mark = if check.passed() { "✓" } else { "✗" };
        checks.add_row([check.what.clone(), check.expected.to_string(), check.found.to_string(), mark.to_owned()]);
    }
    let unexpected: String = orders.iter().filter(|order| !order.is_as_expected()).take(20).map(describe).collect();
    let outcome = if audit.passed() { "The books balance." } else { "THE BOOKS DO NOT BALANCE." };
    format!("{scenarios}\n\n{checks}\n\n{unexpected}{outcome}")
}

fn describe(order: &Settled) -> String {
    let reason = order.cancel_reason.as_deref().unwrap_or("no reason");
    format!("order {} ({}) ended {:?}, {reason}\n", order.order_id, order.scenario.words(), order.end)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_BORDERS_ONLY_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The result as JSON.
///
/// # Errors
///
/// Never in practice: everything in it can be written as JSON.
pub fn json(orders: &[Settled], audit: &Audit) -> Result<String> {
    let scenarios: Vec<_> = rows(orders)
        .iter()
        .map(|row| {
            json!({
                "scenario": row.scenario,
                "orders": row.orders.len(),
                "unexpected": row.unexpected(),
                "median_millis": row.median_millis(),
            })
        })
        .collect();
    let failed: Vec<_> = audit.checks.iter().filter(|check| !Check::passed(check)).collect();
    let unexpected: Vec<_> = orders.iter().filter(|order| !order.is_as_expected()).collect();
    Ok(serde_json::to_string_pretty(&json!({
        "balanced": audit.passed(),
        "scenarios": scenarios,
        "audit": audit.checks,
        "failed": failed,
        "unexpected": unexpected,
    }))?)
}

/// Where everything is.
pub fn urls(running: &Running) -> String {
    let lines = running.shop().urls().iter().map(|(service, url)| format!("{service:>14}  {url}\n"));
    let files = format!("{:>14}  {}\n", "files", running.folder().display());
    lines.collect::<String>() + &files + &monitor(running)
}

/// Where the monitor is, and the token to act there; nothing when it wasn't started.
pub fn monitor(running: &Running) -> String {
    let told =
        running.monitor().map(|monitor| format!("The monitor is at {} (token to act: {})", monitor.url, monitor.token));
    told.unwrap_or_default()
}
