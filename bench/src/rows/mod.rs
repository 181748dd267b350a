//! The rows of the table, one module each.

mod alloc;
mod consume;
mod durable;
mod durable_sqlite;
mod growth;
mod hop;
mod idle;
mod instances;
mod relay;
mod saga;
mod scale;
mod takeover;

use std::pin::Pin;

use anyhow::{Result, bail};

use crate::{comparison, report::Row, stage::Stage};

/// Something that can be measured.
pub(crate) struct Bench {
    /// The name by which it is asked for.
    pub(crate) name: &'static str,
    /// What is measured, in a sentence.
    pub(crate) about: &'static str,
    /// Measures it.
    pub(crate) run: for<'a> fn(&'a Stage) -> Measuring<'a>,
}

/// A measurement under way.
type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>>> + 'a>>;

/// All of them, in the order of the table.
const ALL: &[Bench] = &[
    Bench {
        name: "consume",
        about: "idempotent consumption with an empty handler, beside a raw pull consumer",
        run: |stage| Box::pin(consume::run(stage)),
    },
    Bench {
        name: "durable",
        about: "inbox, update, outbox and commit on PostgreSQL, beside pgbench",
        run: |stage| Box::pin(durable::run(stage)),
    },
    Bench {
        name: "durable-sqlite",
        about: "the same on SQLite, beside rusqlite",
        run: |stage| Box::pin(durable_sqlite::run(stage)),
    },
    Bench {
        name: "relay",
        about: "draining an outbox on PostgreSQL to JetStream, beside a raw pipelined publish",
        run: |stage| Box::pin(relay::run(stage)),
    },
    Bench {
        name: "hop",
        about: "from a commit to the next service's handler, beside a commit, a publish and a subscriber",
        run: |stage| Box::pin(hop::run(stage)),
    },
    Bench {
        name: "saga",
        about: "the shop's whole saga, beside the sum of its local commits",
        run: |stage| Box::pin(saga::run(stage)),
    },
    Bench {
        name: "growth",
        about: "with full tables and long transactions elsewhere, beside itself without",
        run: |stage| Box::pin(growth::run(stage)),
    },
    Bench {
        name: "idle",
        about: "a service that has nothing to do, beside a bare subscriber",
        run: |stage| Box::pin(idle::run(stage)),
    },
    Bench {
        name: "alloc",
        about: "instructions and allocations for each event, beside the raw loop",
        run: |stage| Box::pin(alloc::run(stage)),
    },
    Bench {
        name: "scale",
        about: "several processes of one service, beside one",
        run: |stage| Box::pin(scale::run(stage)),
    },
    Bench {
        name: "instances",
        about: "time to settle with two instances of each service, beside one",
        run: |stage| Box::pin(instances::run(stage)),
    },
    Bench {
        name: "takeover",
        about: "until another instance has handled what one had in hand whose database vanished, beside what the settings allow",
        run: |stage| Box::pin(takeover::run(stage)),
    },
    Bench {
        name: comparison::NAME,
        about: "the shop, beside two-phase commit and an orchestrated saga",
        run: |stage| Box::pin(comparison::run(stage)),
    },
];

/// Those that are named, or all.
///
/// # Errors
///
/// When there is none of a name.
pub(crate) fn select(names: &[String]) -> Result<Vec<&'static Bench>> {
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|bench| bench.name != name.as_str())) {
        let known: Vec<_> = ALL.iter().map(|bench| bench.name).collect();
        bail!("there is no row {unknown:?}; there are {}", known.join(", "));
    }
    Ok(ALL.iter().filter(|bench| names.is_empty() || names.iter().any(|name| name == bench.name)).collect())
}

/// Where the rows of a name stand in the table: those of one measurement share the first word.
pub(crate) fn position(name: &str) -> usize {
    let first = name.split(' ').next();
    ALL.iter().position(|bench| Some(bench.name) == first).unwrap_or(ALL.len())
}
