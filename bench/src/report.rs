//! What was measured, as a table.

use comfy_table::{CellAlignment, Table, presets::ASCII_BORDERS_ONLY_CONDENSED};
use serde::{Deserialize, Serialize};

use crate::harness::Sample;

/// What a ratio must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reach {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Nothing: the row says how things are.
    Stated,
}

/// One line of the result: a measurement beside its anchor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The name by which the row is asked for.
    pub(crate) name: String,
    /// What was done.
    pub(crate) work: String,
    /// What Pavane needed or did.
    pub(crate) pavane: Sample,
    /// What the anchor needed or did.
    pub(crate) anchor: Sample,
    /// Of both: `events/s`, `ms`.
    pub(crate) unit: String,
    /// Pavane's divided by the anchor's, run by run.
    pub(crate) ratio: Sample,
    /// What the ratio's median must reach.
    pub(crate) reach: Reach,
    /// Whether it does; `None` when nothing is asked.
    pub(crate) meets: Option<bool>,
}

impl Row {
    pub(crate) fn new(name: &str, work: &str, unit: &str, (pavane, anchor): (Sample, Sample), reach: Reach) -> Self {
        let ratio = pavane.ratios(&anchor);
        let meets = reach.is_met(ratio.median());
        let [name, work, unit] = [name, work, unit].map(str::to_owned);
        Self { name, work, pavane, anchor, unit, ratio, reach, meets }
    }

    /// The row as texts, in the order of the headings.
    pub(crate) fn cells(&self) -> [String; 8] {
        let meets = self.meets.map_or("", |meets| if meets { "yes" } else { "NO" });
        [
            self.name.clone(),
            self.work.clone(),
            spread(&self.pavane),
            spread(&self.anchor),
            self.unit.clone(),
            spread(&self.ratio),
            self.reach.text(),
            meets.to_owned(),
        ]
    }

    /// Judges Pavane's own value rather than the ratio: where the issue names an absolute bound.
    pub(crate) fn judged_by_value(mut self) -> Self {
        self.meets = self.reach.is_met(self.pavane.median());
        self
    }
}

impl Reach {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(bound) => Some(value >= bound),
            Self::AtMost(bound) => Some(value <= bound),
            Self::Stated => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", number(bound)),
            Self::AtMost(bound) => format!("≤ {}", number(bound)),
            Self::Stated => "stated".to_owned(),
        }
    }
}

const HEADINGS: [&str; 8] = ["name", "work", "Pavane", "anchor", "unit", "ratio", "reach", "meets"];

/// The rows for a terminal: medians, and the spread in brackets.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_BORDERS_ONLY_CONDENSED).set_header(HEADINGS);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in [2, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn spread(sample: &Sample) -> String {
    if sample.is_empty() {
        return "–".to_owned();
    }
    if sample.is_single() {
        return number(sample.median());
    }
    format!("{} [{}–{}]", number(sample.median()), number(sample.min()), number(sample.max()))
}

/// Three significant digits, and no more than a person reads.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
