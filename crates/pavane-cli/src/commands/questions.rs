//! `pavane questions`: what people are asked.

use std::fmt;

use pavane_contract::Timestamp;
use pavane_observe::report::Question;
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
    style::{CAREFUL, FAINT, GOOD, STRONG, Styled},
    words,
};

#[derive(Debug, Serialize)]
struct Answer {
    as_of: Timestamp,
    questions: Vec<Question>,
}

/// It is no fault that somebody is asked, so the exit status says that all is well.
pub(crate) async fn run(deployment: &Deployment, output: Output) -> anyhow::Result<Exit> {
    let view = deployment.view().await?;
    output.answer(&Answer { as_of: view.as_of(), questions: view.questions() })?;
    Ok(Exit::Fine)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(count) = u64::try_from(self.questions.len()).ok().filter(|count| *count > 0) else {
            return write!(f, "{}", Styled(GOOD, "no question is open"));
        };
        for question in &self.questions {
            let name = question.name.as_deref().unwrap_or("saga");
            let (key, id) = (Styled(STRONG, &question.key), Styled(FAINT, format!("saga {}", question.saga)));
            writeln!(f, "{name} {key}: {}  {id}", question.event)?;
            writeln!(f, "  {}", Styled(CAREFUL, &question.sentence))?;
        }
        write!(f, "\n{}", Styled(STRONG, words::counted(count, "open question")))
    }
}
