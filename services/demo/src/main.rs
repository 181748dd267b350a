//! `cargo demo`: the shop live, in one command.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use demo::{
    audit::{Audit, Books},
    customer, report, scenario,
    shop::{Options, Running, Shop},
};
use indicatif::{ProgressBar, ProgressStyle};
use pavane_testkit::servers::{Nats, Tools};

/// Starts the shop with a real NATS server, places orders over HTTP, and audits the books.
///
/// The exit status is 0 only if every order ended as it must and the books balance.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many orders to place.
    #[arg(long, default_value_t = 200)]
    orders: usize,
    /// How many customers order at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    customers: u16,
    /// Which orders to place: the same seed places the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A NATS server with JetStream to use, instead of one of our own.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// A PostgreSQL server to use instead of SQLite files; each service gets a database of its own there, created if missing.
    #[arg(long, value_name = "postgres://…")]
    database: Option<String>,
    /// Order from the shop that `just up` started, instead of starting one. Its payment provider keeps its own delays.
    #[arg(long, conflicts_with_all = ["nats", "database", "keep"])]
    attach: bool,
    /// Start the monitor too, stay up afterwards, and print where everything is.
    #[arg(long)]
    keep: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse_from(demo::command_line());
    match run(&arguments).await {
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
    if arguments.attach {
        let shop = Shop::local()?;
        shop.wait_until_ready().await?;
        return place(&shop, arguments).await;
    }
    let mut own = None;
    let nats_url = match &arguments.nats {
        Some(url) => url.clone(),
        None => own.insert(start_nats().await?).url(),
    };
    say(&format!("NATS is at {nats_url}"));
    let mut running = Running::start(Options::new(nats_url.clone(), arguments.database.clone())).await?;
    say(&format!("{} services are ready", running.shop().urls().len()));
    if arguments.keep {
        running.watch(&nats_url).await.context("the monitor can't start")?;
        say(&report::monitor(&running));
    }
    let placed = tokio::select! {
        placed = place(running.shop(), arguments) => placed,
        () = pavane::shutdown_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    if arguments.keep && placed.is_ok() {
        say(&report::urls(&running));
        say("Press ctrl-C to stop.");
        pavane::shutdown_signal().await;
    }
    running.stop().await;
    placed
}

async fn start_nats() -> Result<Nats> {
    let tools = Tools::from_env().announcing(say);
    Nats::start(&tools).await.context("no NATS server")
}

async fn place(shop: &Shop, arguments: &Arguments) -> Result<bool> {
    customer::fill_shelves(shop, arguments.orders).await?;
    let before = Books::read(shop).await?;
    let scenarios = scenario::draw(arguments.orders, arguments.seed);
    let bar = ProgressBar::new(scenarios.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} orders settled, {elapsed}")?);
    let orders = customer::place_all(shop, scenarios, usize::from(arguments.customers), || bar.inc(1)).await?;
    bar.finish();
    let audit = Audit::wait(shop, &before, &orders).await?;
    let text = if arguments.json { report::json(&orders, &audit)? } else { report::text(&orders, &audit) };
    print(&text);
    Ok(audit.passed())
}

#[expect(clippy::print_stderr, reason = "a person watches")]
fn say(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
fn print(result: &str) {
    println!("{result}");
}
