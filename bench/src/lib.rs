//! What Pavane costs, beside a raw anchor in the same run.
//!
//! The program is `bench`; the other programs are started by it, to be measured as processes of their own.

mod comparison;
mod harness;
mod load;
mod page;
mod pgbench;
mod process;
mod programs;
mod report;
mod rows;
mod shop;
mod stage;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;

pub use process::{consume, counting_arguments, instance};

use crate::{report::Row, stage::Stage};

/// Measures Pavane beside raw anchors: each pair interleaved in one run, medians of several, and their ratio.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which rows to measure; all of them when none is named.
    names: Vec<String>,
    /// Little work and one run each: checks that everything still works, and says nothing about speed.
    #[arg(long)]
    smoke: bool,
    /// How many times each pair is run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Keep the results in this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Enter the results into docs/performance.md.
    #[arg(long, conflicts_with = "smoke")]
    write: bool,
}

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let arguments = Arguments::parse_from(demo::command_line());
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("The benchmark can't go on: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let _telemetry = pavane::ops::init_tracing_at("error")?;
    let benches = rows::select(&arguments.names)?;
    let stage = Stage::new(arguments.smoke, usize::from(arguments.runs));
    let mut all: Vec<Row> = Vec::new();
    for bench in benches {
        say(&format!("{}: {}", bench.name, bench.about));
        let rows = (bench.run)(&stage).await.with_context(|| format!("{} failed", bench.name))?;
        if rows.is_empty() {
            // A part of a row in a process of its own, over now.
            continue;
        }
        print(&report::table(&rows));
        all.extend(rows);
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("can't write {}", file.display()))?;
    }
    if arguments.write {
        page::write(all.clone(), &stage).await?;
    }
    if !all.is_empty() {
        print(&report::table(&all));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a person watches")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
fn print(result: &str) {
    println!("{result}");
}
