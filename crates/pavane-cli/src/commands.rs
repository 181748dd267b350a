//! The commands, one module each.

pub(crate) mod completions;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod map;
pub(crate) mod migrations;
pub(crate) mod outbox;
pub(crate) mod provision;
pub(crate) mod questions;
pub(crate) mod resolve;
pub(crate) mod stuck;
pub(crate) mod trace;
pub(crate) mod verify;
pub(crate) mod watch;

use crate::{
    arguments::{Arguments, Command},
    deployment::Deployment,
    output::{Exit, Output},
};

/// Runs the command.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<Exit> {
    let Arguments { connection, command, .. } = arguments;
    if let Command::Completions(arguments) = &command {
        return completions::run(arguments, *output);
    }
    if let Command::Outbox(command) = &command {
        return outbox::run(command, connection.patience, *output).await;
    }
    if let Command::Migrations(arguments) = &command {
        return migrations::run(arguments, *output);
    }
    let deployment = Deployment::connect(&connection).await?;
    match command {
        Command::Map(arguments) => map::run(&deployment, &arguments, *output).await,
        Command::Verify => verify::run(&deployment, *output).await,
        Command::Trace(arguments) => trace::run(&deployment, &arguments, *output).await,
        Command::Watch(arguments) => watch::run(&deployment, &arguments, *output).await,
        Command::Stuck => stuck::run(&deployment, *output).await,
        Command::Questions => questions::run(&deployment, *output).await,
        Command::DeadLetters(command) => dead_letters::run(&deployment, &command, *output).await,
        Command::RetryUndo(arguments) => dead_letters::retry_undo::run(&deployment, &arguments, *output).await,
        Command::Resolve(arguments) => resolve::run(&deployment, &arguments, *output).await,
        Command::Explain(arguments) => explain::run(&deployment, &arguments, *output).await,
        Command::Doctor(arguments) => doctor::run(&deployment, &arguments, *output).await,
        Command::Provision(arguments) => provision::run(&deployment, &arguments, *output).await,
        Command::Outbox(_) | Command::Migrations(_) | Command::Completions(_) => Ok(Exit::Fine),
    }
}
