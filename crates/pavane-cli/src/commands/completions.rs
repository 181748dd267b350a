//! `pavane completions`: the completions of the command line for a shell.

use std::fmt;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;

use crate::{
    arguments,
    output::{Exit, Output},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

#[derive(Debug, Serialize)]
struct Answer {
    shell: String,
    script: String,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let mut command = arguments::Arguments::command();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "pavane", &mut script);
    output.answer(&Answer { shell: arguments.shell.to_string(), script: String::from_utf8(script)? })?;
    Ok(Exit::Fine)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}
