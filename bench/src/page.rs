//! `docs/performance.md`: made from what was measured, so that no figure in it is written by hand.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{report::Row, rows, stage::Stage};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
/// What was measured last, row by row: a run of some rows leaves the others as they were.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.json");

const METHOD: &str = "\
# Performance

Made by `cargo xbench --write`; don't edit it. `cargo xbench --help` says how to measure a single row.

## Method

- Pavane and its anchor run in the same process of the same release build, against the same servers, in turn: A B, B A, A B, …
- Each figure is the median of the runs, with the smallest and the largest in brackets. The ratio is the median of the runs' ratios,
  because what slows the machine down for a while slows both of a pair down. Only ratios are comparable between machines.
- The servers are real and their data is on disk. PostgreSQL runs with `fsync` and `synchronous_commit` on, and otherwise as it comes;
  SQLite in WAL mode with `synchronous = full`; NATS with file storage and its default sync interval.
- pgbench runs the same statements, prepared, at the client count at which it is fastest.
- After each run the effects are counted: a run that lost or doubled an event is an error, not a figure.
";

/// Enters rows into what was measured before, and makes the page anew.
///
/// # Errors
///
/// When a file can't be read or written.
pub(crate) async fn write(measured: Vec<Row>, stage: &Stage) -> Result<()> {
    let mut kept: Vec<Row> = match fs::read(KEPT) {
        Ok(json) => serde_json::from_slice(&json).with_context(|| format!("{KEPT} can't be read"))?,
        // The first time.
        Err(_) => Vec::new(),
    };
    kept.retain(|row| measured.iter().all(|new| (&new.name, &new.work) != (&row.name, &row.work)));
    kept.extend(measured);
    // `durable (any)` belongs to `durable`.
    kept.sort_by_key(|row| rows::position(&row.name));
    fs::write(KEPT, serde_json::to_vec_pretty(&kept)?).with_context(|| format!("{KEPT} can't be written"))?;
    let page = format!("{METHOD}\n{}\n{}\n{}", machine(stage).await?, table(&kept)?, findings(&kept)?);
    fs::write(PAGE, page).with_context(|| format!("{PAGE} can't be written"))
}

async fn machine(stage: &Stage) -> Result<String> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or("unknown").to_owned()
    };
    let cores = std::thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(2).unwrap_or("unknown");
    Ok(format!(
        "## Machine\n\n{cores} cores of a virtual machine ({}), {} of memory, Linux {}; {}. The load average over the last quarter of an \
         hour was {load} when the page was made: other work ran beside the measurements if that is far more than the number of cores.\n",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        stage.versions().await?
    ))
}

fn table(rows: &[Row]) -> Result<String> {
    let mut text = String::from(
        "## Results\n\n| row | work; anchor | Pavane | anchor | unit | ratio | reach | met |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        writeln!(text, "| {} |", row.cells().join(" | "))?;
    }
    Ok(text)
}

/// What limits the rows that don't reach what they should.
fn findings(rows: &[Row]) -> Result<String> {
    let mut text = String::from("## What limits the rows that miss\n\n");
    let missed: Vec<_> = rows.iter().filter(|row| row.meets == Some(false)).collect();
    if missed.is_empty() {
        text.push_str("No row misses.\n");
    }
    for row in missed {
        let found = FINDINGS
            .iter()
            .find(|(name, _)| row.name.starts_with(name))
            .map_or("not looked into yet", |(_, found)| found);
        writeln!(text, "- `{}`: {found}.", row.name)?;
    }
    if Path::new(PAGE).with_file_name("why-not-2pc.md").exists() {
        text.push_str(
            "\nThe comparison with two-phase commit and an orchestrator has [a page of its own](why-not-2pc.md).\n",
        );
    }
    Ok(text)
}

/// What the profiles show, by row.
const FINDINGS: &[(&str, &str)] = &[
    (
        "relay",
        "PostgreSQL, the NATS server and the relay share the cores, and the anchor needs no database. Each row is read (about 2 µs \
         of PostgreSQL's time), published with twelve headers (twice the anchor's bytes, and a header map of the client's for each) \
         and deleted from what is unsent (about 2 µs); reading doesn't overlap with publishing yet",
    ),
    (
        "hop",
        "three round trips to the database are in the way that the anchor doesn't have: the relay reads the row, the consumer begins \
         and claims the event. On a machine with other work each of them also waits for its turn on a core",
    ),
    (
        "consume",
        "an event costs twice the instructions of the raw loop (row `alloc`): the inbox row in SQLite, and reading the headers into an \
         envelope",
    ),
    (
        "saga",
        "the commits are not the limit, for SQLite is no slower: customers, their HTTP, the payment provider and all services share \
         the cores, and each of the three effects of a saga is two transactions of its own, never a batch. Not profiled yet",
    ),
    (
        "growth held",
        "dead entries of what was unsent can't be removed while the other transaction may see them, and each read passes them",
    ),
    ("idle start", "opening the consumers one after another; each is a round trip or two"),
];
