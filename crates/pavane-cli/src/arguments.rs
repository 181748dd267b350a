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
/// Exit status: 0 when all is well, 1 when it found something that needs attention, 2 when it failed.
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
    /// Show everything about one saga: what led to what, when, and what it waits for.
    Trace(trace::Arguments),
    /// Watch the deployment live, on the whole screen.
    Watch(watch::Arguments),
    /// List the sagas that wait too long, with what they wait for and from whom, and those that need a decision.
    ///
    /// Exit status 1 when there is one.
    Stuck,
    /// List the questions that wait for a person: who is asked what, since when, and what ends the wait.
    ///
    /// The answer goes to the service that asks, over its own interface.
    Questions,
    /// Look at the events that reactions gave up on, and decide about them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Run the undos of a saga again that gave up, because of which it needs a decision.
    ///
    /// Their dead letters are redriven; who did it and why is recorded. Exit status 1 when one was skipped or failed.
    RetryUndo(retry_undo::Arguments),
    /// Record that nothing more has to happen in a saga that needs a decision or is stuck, because it was settled in another
    /// way.
    ///
    /// Nothing else is done: who decided so and why is recorded, and the saga is not listed any more.
    Resolve(resolve::Arguments),
    /// List the events that the NATS server refused for good, and send them again when the cause is gone.
    ///
    /// They never came to a stream: this reads the database of the service that emitted them, and nothing else.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Show who emits an event, who reacts to it, what undoes it and why, and what comes next.
    Explain(explain::Arguments),
    /// Check server, streams, consumers and services for faults and risks, and say how to correct them.
    ///
    /// Exit status 1 when there is a fault or a risk.
    Doctor(doctor::Arguments),
    /// Create the streams of a deployment, as an operator: for services that may not, or that only verify.
    ///
    /// Existing streams stay as they are, or their limits are raised; other differences are reported. Consumers belong to the
    /// services, which name the command that creates a missing one.
    Provision(provision::Arguments),
    /// Print the SQL of the framework's tables, for a tool of your own that runs migrations.
    ///
    /// A service that starts on these tables has nothing left to migrate. This contacts no server and no database.
    Migrations(migrations::Arguments),
    /// Write the completions for a shell.
    Completions(completions::Arguments),
}
