//! `pavane provision`: creates the streams, for services that may not, or that only verify.

use std::{fmt, time::Duration};

use anyhow::bail;
use clap::Args;
use pavane_bus::{
    Bus as _, Topology,
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};

/// How the streams are kept. The variables are those that services read; give both the same.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Copies of each stream: 1, 3 or 5.
    #[arg(long, env = "PAVANE_REPLICAS", default_value_t = 1)]
    replicas: usize,
    /// Bytes that the stream of events may take; for an account that requires limits.
    #[arg(long, value_name = "BYTES", env = "PAVANE_MAX_BYTES")]
    max_bytes: Option<u64>,
    /// Bytes that the stream of dead letters may take.
    #[arg(long, value_name = "BYTES", env = "PAVANE_DEAD_LETTER_MAX_BYTES")]
    dead_letter_max_bytes: Option<u64>,
    /// Days that an event is kept.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    max_age: u64,
    /// Days that a dead letter is kept.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    dead_letter_max_age: u64,
}

/// The streams that exist now.
#[derive(Debug, Serialize)]
struct Provisioned {
    /// The names of the streams at the server.
    streams: Vec<String>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let bus = &deployment.bus;
    let topology = arguments.topology();
    if !matches!(topology.replicas, 1 | 3 | 5) {
        bail!("PAVANE_REPLICAS = {} can't be used: a stream has 1, 3 or 5 replicas", topology.replicas);
    }
    bus.provision(&topology).await?;
    bus.provision_declarations(&topology).await?;
    bus.provision_audit().await?;
    let streams = [EVENTS, DEAD_LETTERS, DECLARATIONS_STREAM, AUDIT].map(|stream| bus.name_of(stream)).to_vec();
    output.answer(&Provisioned { streams })?;
    Ok(Exit::Fine)
}

impl Arguments {
    fn topology(&self) -> Topology {
        let days = |days: u64| Duration::from_hours(days.saturating_mul(24));
        let mut topology = Topology::default();
        topology.replicas = self.replicas;
        (topology.max_age, topology.dead_letter_max_age) = (days(self.max_age), days(self.dead_letter_max_age));
        (topology.max_bytes, topology.dead_letter_max_bytes) = (self.max_bytes, self.dead_letter_max_bytes);
        topology
    }
}

impl fmt::Display for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "these streams are there, as services need them: {}", self.streams.join(", "))
    }
}
