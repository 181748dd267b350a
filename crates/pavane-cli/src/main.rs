//! The `pavane` command: draws, checks, traces, watches and mends a deployment from its streams alone.
//!
//! Each command is one module: it asks the deployment, and makes an answer of its own type. How an answer looks as text is
//! that type's `Display`; how it looks as JSON, its `Serialize`. Only [`output::Output`] writes.

mod arguments;
mod columns;
mod commands;
mod connection;
mod deployment;
mod output;
mod style;
mod words;

use std::{io, process::ExitCode};

use anstream::{AutoStream, ColorChoice};
use clap::Parser;

use arguments::Arguments;
use output::{Exit, Output};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    let output = Output::new(arguments.json);
    match commands::run(arguments, &output).await {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Found) => ExitCode::from(1),
        Err(error) => {
            output.error(&error);
            ExitCode::from(2)
        }
    }
}

/// The command prints its error in one line. The libraries' log is shown only where `RUST_LOG` asks for it.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    let in_colours = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    tracing_subscriber::fmt().with_ansi(in_colours).with_env_filter(filter).with_writer(io::stderr).init();
}
