//! `pavane verify`: the deployed choreography, checked and explored as its tests do.

use std::fmt;

use pavane_choreography::{
    Choreography, Finding,
    model::{Exploration, Violation},
};
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
    style::{BAD, GOOD, Styled},
    words,
};

#[derive(Debug, Serialize)]
struct Answer {
    services: Vec<String>,
    findings: Vec<Found>,
    violations: Vec<Violated>,
    explored: Vec<Explored>,
}

/// What the static checks found.
#[derive(Debug, Serialize)]
struct Found {
    what: &'static str,
    saga: Option<String>,
    service: String,
    reaction: String,
    event: Option<String>,
    path: Vec<String>,
    mend: String,
    #[serde(skip)]
    text: String,
}

/// How a saga can go wrong.
#[derive(Debug, Serialize)]
struct Violated {
    saga: String,
    what: String,
    counterexample: String,
    mermaid: String,
}

/// A saga that can't go wrong.
#[derive(Debug, Serialize)]
struct Explored {
    saga: String,
    states: usize,
    moves: usize,
    completed: usize,
    aborted: usize,
    #[serde(skip)]
    text: String,
}

pub(crate) async fn run(deployment: &Deployment, output: Output) -> anyhow::Result<Exit> {
    let choreography = deployment.declared().await?.choreography();
    let answer = verify(&choreography);
    output.answer(&answer)?;
    Ok(Exit::found(!answer.findings.is_empty() || !answer.violations.is_empty()))
}

fn verify(choreography: &Choreography) -> Answer {
    let services = choreography.manifests().iter().map(|manifest| manifest.service.clone()).collect();
    let findings = choreography.check().into_iter().map(Found::from).collect();
    let (mut violations, mut explored) = (Vec::new(), Vec::new());
    for saga in choreography.sagas() {
        match choreography.explore(saga) {
            Ok(exploration) => explored.push(exploration.into()),
            Err(violation) => violations.push(violation.into()),
        }
    }
    Answer { services, findings, violations, explored }
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        let text = finding.to_string();
        Self {
            what: finding.rule.message(),
            saga: finding.saga,
            service: finding.service,
            reaction: finding.reaction,
            event: finding.event.map(|event| event.to_string()),
            path: finding.path,
            mend: finding.mend,
            text,
        }
    }
}

impl From<Violation> for Violated {
    fn from(violation: Violation) -> Self {
        let drawn = |text: String| if violation.sequence.is_empty() { String::new() } else { text };
        Self {
            counterexample: drawn(violation.sequence.text()),
            mermaid: drawn(violation.sequence.mermaid()),
            what: violation.kind.to_string(),
            saga: violation.saga,
        }
    }
}

impl From<Exploration> for Explored {
    fn from(exploration: Exploration) -> Self {
        let text = exploration.to_string();
        let Exploration { saga, states, moves, completed, aborted, .. } = exploration;
        Self { saga, states, moves, completed, aborted, text }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{} {}\n", Styled(BAD, "✗"), finding.text)?;
        }
        for Violated { saga, what, counterexample, .. } in &self.violations {
            writeln!(f, "{} saga {saga}: {what}\n\n{counterexample}", Styled(BAD, "✗"))?;
        }
        for explored in &self.explored {
            writeln!(f, "{} {}", Styled(GOOD, "✓"), explored.text)?;
        }
        let services = self.services.join(", ");
        match (self.findings.len(), self.violations.len()) {
            (0, 0) => write!(f, "nothing is wrong with the choreography of {services}"),
            (findings, violations) => {
                let (findings, violations) =
                    (words::counted(findings as u64, "finding"), words::counted(violations as u64, "counterexample"));
                write!(f, "{findings} and {violations} in the choreography of {services}")
            }
        }
    }
}
