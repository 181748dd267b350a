//! `pavane stuck`: the sagas that wait too long, and those that need a decision.

use std::{collections::BTreeMap, fmt};

use pavane_contract::Timestamp;
use pavane_observe::{SagaSummary, State};
use serde::Serialize;

use crate::{
    columns::Columns,
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, FAINT, GOOD, STRONG, Styled, state},
    words,
};

#[derive(Debug, Serialize)]
struct Answer {
    as_of: Timestamp,
    sagas: Vec<SagaSummary>,
    /// How many of them wait for each service.
    by_service: BTreeMap<String, usize>,
    /// How many of them are in each state.
    by_state: BTreeMap<State, usize>,
}

pub(crate) async fn run(deployment: &Deployment, output: Output) -> anyhow::Result<Exit> {
    let view = deployment.view().await?;
    let sagas = view.stuck();
    let (mut by_service, mut by_state) = (BTreeMap::new(), BTreeMap::new());
    for saga in &sagas {
        *by_state.entry(saga.state).or_default() += 1;
        for service in &saga.waits_on {
            *by_service.entry(service.clone()).or_default() += 1;
        }
    }
    let answer = Answer { as_of: view.as_of(), sagas, by_service, by_state };
    output.answer(&answer)?;
    Ok(Exit::found(!answer.sagas.is_empty()))
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sagas.is_empty() {
            return write!(f, "{}", Styled(GOOD, "no saga is stuck, and none needs a decision"));
        }
        for saga in &self.sagas {
            saga_lines(f, saga)?;
        }
        let states = self.by_state.iter().map(|(state, count)| format!("{count} {}", state.as_str()));
        writeln!(f, "{}", Styled(STRONG, states.collect::<Vec<_>>().join(", ")))?;
        let mut services = Columns::indented(2);
        for (service, count) in &self.by_service {
            services.row([&format!("waiting for {service}"), count]);
        }
        write!(f, "{services}")
    }
}

fn saga_lines(f: &mut fmt::Formatter<'_>, saga: &SagaSummary) -> fmt::Result {
    let SagaSummary { key, saga: id, age_ms, step, .. } = saga;
    let name = saga.name.as_deref().unwrap_or("saga");
    writeln!(f, "{} {name} {}  {}", state(saga.state), Styled(STRONG, key), Styled(FAINT, format!("saga {id}")))?;
    writeln!(f, "  {} old, last {step}", words::millis(*age_ms))?;
    if let Some(waits_for) = &saga.waits_for {
        writeln!(f, "  {}", Styled(BAD, waits_for))?;
    }
    writeln!(f)
}
