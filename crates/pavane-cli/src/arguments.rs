//! The command line.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        completions,
        dead_letters::{self, retry_undo},
        doctor, explain, map, migrations, outbox, provision, resolve, trace, watch,
    },
    connection::Connection,
};

/// Draws, checks, traces, watches and mends a deployment of services built with Pavane.
///
/// It reads the streams of the NATS server, and needs nothing else: no monitor, and no database but for `outbox`.
///
/// Exit status: 0 when all is well, 1 when it found something that somebody should care about, 2 when there is no answer.
#[derive(Debug, Parser)]
#[command(name = "pavane", version, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Answer in JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw the choreography that the services declare.
    Map(map::Arguments),
    /// Check the declared choreography, and explore every state that its sagas can reach.
    ///
    /// Exit status 1 when there is a finding; the shortest counterexample is printed.
    Verify,
    /// Tell everything about one saga: what led to what, when, and what it waits for.
    Trace(trace::Arguments),
    /// Watch the deployment live, on the whole screen.
    Watch(watch::Arguments),
    /// Name the sagas that wait too long, what for and for whom, and those that need a decision.
    ///
    /// Exit status 1 when there is one.
    Stuck,
    /// Look at the events that reactions gave up on, and decide about them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Try the undos of a saga once more that were given up on, because of which it needs a decision.
    ///
    /// Their dead letters are redriven, and who did it and why is kept. Exit status 1 when one was left alone or failed.
    RetryUndo(retry_undo::Arguments),
    /// Say that nothing more has to happen in a saga that needs a decision or is stuck, because it was settled in another way.
    ///
    /// Nothing is done but that: who said so and why is kept, and the saga is not named any more.
    Resolve(resolve::Arguments),
    /// Look at the events that the NATS server refused for good, and send them again when the cause is gone.
    ///
    /// They never came to a stream: this reads the database of the service that emitted them, and nothing else.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Show who emits an event, who reacts to it, what undoes it and why, and what comes next.
    Explain(explain::Arguments),
    /// Check server, streams, consumers and services for what will hurt, and say how to mend it.
    ///
    /// Exit status 1 when there is a finding that is more than a remark.
    Doctor(doctor::Arguments),
    /// Create the streams of a deployment, as an operator: for services that may not, or that only verify.
    ///
    /// What exists is left as it is, or its limits are raised; what would have to change otherwise is named. Consumers belong to
    /// the services, which name the command that creates a missing one.
    Provision(provision::Arguments),
    /// Print the SQL of the framework's tables, for a tool of your own that runs migrations.
    ///
    /// A service that starts on tables made by it has nothing left to do there. This asks no server and no database.
    Migrations(migrations::Arguments),
    /// Write the completions for a shell.
    Completions(completions::Arguments),
}
