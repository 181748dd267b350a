//! `cargo run -p travel`: travel bookings live, in one command.

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use pavane::Config;
use pavane_testkit::servers::{Nats, Postgres, Tools};
use travel::demo::{
    audit::{self, Books, Check},
    report,
    running::{self, Running},
    scenario, traveller,
};

/// Starts the services with a real NATS server and a real PostgreSQL, requests trips over HTTP, and audits the books.
///
/// The exit status is 0 only if every trip ended as it must and the books balance.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many trips to request.
    #[arg(long, default_value_t = 200)]
    trips: usize,
    /// How many travellers request one at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    travellers: u16,
    /// Which trips to request: the same seed requests the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A NATS server with JetStream to use, instead of one of our own.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// A PostgreSQL server to use, instead of one of our own; each service gets a database there, made if it is missing.
    #[arg(long, value_name = "postgres://…")]
    database: Option<String>,
    /// Runs each service as two processes, and every so many seconds kills one with SIGKILL and starts it again.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    kill_every: Option<u64>,
    /// Runs one service: so the processes that are killed begin. Its settings are environment variables.
    #[arg(long, hide = true)]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("The demo can't go on: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let _telemetry = pavane::ops::init_tracing_at("error")?;
    if let Some(service) = &arguments.only {
        return run_only(service).await.map(|()| true);
    }
    let tools = Tools::from_env().announcing(say);
    let (mut own_nats, mut own_database) = (None, None);
    let nats = match &arguments.nats {
        Some(url) => url.clone(),
        None => own_nats.insert(Nats::start(&tools).await.context("no NATS server")?).url(),
    };
    let database = match &arguments.database {
        Some(url) => url.clone(),
        None => own_database.insert(Postgres::start(&tools).await.context("no PostgreSQL server")?).url("postgres"),
    };
    say(&format!("NATS is at {nats}, PostgreSQL at {database}"));
    let mut running = match arguments.kill_every {
        Some(_) => Running::start_processes(&nats, &database).await?,
        None => Running::start(&nats, &database).await?,
    };
    say("The services are ready");
    let travelled = tokio::select! {
        travelled = travel(&mut running, arguments) => travelled,
        () = pavane::shutdown_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    running.stop().await;
    travelled
}

/// Runs a service as a process of its own.
async fn run_only(service: &str) -> Result<()> {
    let (config, provider) = (Config::from_env()?, env::var("PROVIDER_URL").context("PROVIDER_URL is not set")?);
    let listener = web::listen("127.0.0.1:0").await?;
    running::run(service, config, provider, listener, Box::pin(pavane::shutdown_signal())).await
}

async fn travel(running: &mut Running, arguments: &Arguments) -> Result<bool> {
    let company = &running.company().clone();
    let before = Books::read(company).await?;
    let scenarios = scenario::draw(arguments.trips, arguments.seed);
    let travelling = traveller::travel_all(company, scenarios, arguments.travellers.into());
    let (trips, kills) = match arguments.kill_every {
        Some(seconds) => running.kill_while(Duration::from_secs(seconds), arguments.seed, travelling).await?,
        None => (travelling.await?, 0),
    };
    let checks = audit::wait(company, &before, &trips).await?;
    print(&report::text(&trips, &checks));
    if arguments.kill_every.is_some() {
        print(&format!("Processes of services that were killed meanwhile, and started again: {kills}"));
    }
    Ok(checks.iter().all(Check::passed))
}

#[expect(clippy::print_stderr, reason = "a person watches")]
fn say(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
fn print(result: &str) {
    println!("{result}");
}
