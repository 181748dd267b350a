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

/// Adds rows to what was measured before, and writes the page.
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
    // By the name alone, as a run measures all rows of a name, and the work tells numbers that it found out.
    kept.retain(|row| measured.iter().all(|new| new.name != row.name));
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
        "by perf, a row takes 33 µs of processor time, and the two cores are nine tenths busy: 14 µs in nats-server (12 for a row of the \
         anchor, which has one header and not thirteen), 12 in the relay and the client, most of it for the client's header map, and 6 in \
         PostgreSQL for reading a row and for deleting it from what is unsent. Reading, publishing and recording overlap; what is left is \
         work, not waiting",
    ),
    (
        "hop",
        "by pg_stat_statements, and with a bare round trip to the idle database at 0.08 ms: the anchor does without the outbox row that is \
         written at the commit (0.15 ms), the relay's read (0.12), the consumer's begin (0.07) and its claim (0.15). The rest is four \
         tasks that wake one another on different threads, at 0.05 to 0.1 ms each on an idle virtual machine",
    ),
    (
        "consume",
        "by perf, an event takes 15 µs in the service beside 12.5 in the raw loop, for reading its headers into an envelope and for the \
         inbox, and 9.4 beside 7.7 in nats-server, which is asked for a batch more often",
    ),
    (
        "saga",
        "by pg_stat_statements, a saga is some 60 statements, begin and commit included. Executing them is a small part of PostgreSQL's \
         time; the rest is a round trip for each, which is why SQLite with its one writer is no slower. What a customer waits for is mostly \
         the line in which inventory's transactions wait for the popular products, and rows of an order that another reaction has locked",
    ),
    (
        "growth held",
        "dead entries of what was unsent can't be removed while the other transaction may see them, and each read passes them",
    ),
    ("idle start", "opening the consumers one after another; each is a round trip or two"),
];
