//! The command line.

use std::{fmt, path::PathBuf};

use anyhow::bail;
use clap::{Args, Parser, Subcommand};

use crate::commands::{
    completions,
    dead_letters::{self, retry_undo},
    doctor, explain, map, migrations, outbox, resolve, trace, watch,
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

/// Where the deployment is. The variables are those that services read.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The NATS server; several, separated by commas, for a cluster.
    #[arg(long, global = true, value_name = "URL", env = "NATS_URL", default_value = DEFAULT_URL, hide_env_values = true)]
    nats_url: String,
    /// The user there.
    #[arg(long, global = true, value_name = "USER", env = "NATS_USER")]
    nats_user: Option<String>,
    /// The user's password.
    #[arg(long, global = true, value_name = "PASSWORD", env = "NATS_PASSWORD", hide_env_values = true)]
    nats_password: Option<String>,
    /// A credentials file, in place of user and password.
    #[arg(long, global = true, value_name = "FILE", env = "NATS_CREDENTIALS")]
    pub(crate) nats_credentials: Option<PathBuf>,
    /// How many seconds to wait for the server.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) patience: u64,
}

const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

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
    /// Tell who emits an event, who reacts to it, who takes it back and why, and what comes next.
    Explain(explain::Arguments),
    /// Check server, streams, consumers and services for what will hurt, and say how to mend it.
    ///
    /// Exit status 1 when there is a finding that is more than a remark.
    Doctor(doctor::Arguments),
    /// Print the SQL of the framework's tables, for a tool of your own that runs migrations.
    ///
    /// A service that starts on tables made by it has nothing left to do there. This asks no server and no database.
    Migrations(migrations::Arguments),
    /// Write the completions for a shell.
    Completions(completions::Arguments),
}

/// Without the password, and without a URL that may have one.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("nats_user", &self.nats_user).finish_non_exhaustive()
    }
}

impl Connection {
    /// As for a service: a variable that is set to nothing is not set.
    pub(crate) fn url(&self) -> &str {
        if self.nats_url.is_empty() { DEFAULT_URL } else { &self.nats_url }
    }

    /// User and password; both or none.
    pub(crate) fn user(&self) -> anyhow::Result<Option<(String, String)>> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        match (given(&self.nats_user), given(&self.nats_password)) {
            (Some(user), Some(password)) => Ok(Some((user, password))),
            (None, None) => Ok(None),
            (Some(_), None) => bail!("NATS_USER is set and NATS_PASSWORD is not: give both, or a credentials file"),
            (None, Some(_)) => bail!("NATS_PASSWORD is set and NATS_USER is not: give both, or a credentials file"),
        }
    }
}
