//! `pavane doctor`: faults and risks of a deployment, their consequences, and how to correct them.
//!
//! [`evidence`] asks the server; everything else judges the answers without I/O.

mod access;
mod clocks;
mod consumers;
mod evidence;
mod finding;
mod handling;
mod outside;
mod retention;
mod server;
mod services;
mod streams;
mod tail;
#[cfg(test)]
mod tests;
mod wire;

use clap::Args;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};
use evidence::Evidence;
use finding::{Check, Report, Severity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The server's monitoring, `http://host:8222`: it reports how often the server syncs to its disk.
    #[arg(long, value_name = "URL", env = "NATS_MONITORING_URL")]
    monitoring: Option<String>,
    /// A Prometheus that scrapes the services, `http://host:9090`: it has the times of their handlers.
    #[arg(long, value_name = "URL", env = "PROMETHEUS_URL")]
    prometheus: Option<String>,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let mut checks = examine(&Evidence::gather(&deployment.bus, arguments).await?);
    wire::rename(&mut checks, &deployment.bus);
    let report = Report { checks };
    output.answer(&report)?;
    Ok(Exit::found(report.worst().is_some_and(|worst| worst > Severity::Remark)))
}

fn examine(evidence: &Evidence) -> Vec<Check> {
    vec![
        access::check(evidence),
        server::check(evidence),
        streams::check(evidence),
        retention::check(evidence),
        services::check(evidence),
        consumers::check(evidence),
        handling::check(evidence),
        clocks::check(evidence),
    ]
}
