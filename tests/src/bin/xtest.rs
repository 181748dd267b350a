//! `cargo xtest`: every test of the workspace, on a machine that has nothing but Rust and pip.
//!
//! Finds or fetches what the tests need once (nats-server, PostgreSQL, Schemathesis, Prometheus' promtool, `PgBouncer`, a
//! Chromium and its driver), builds the services' binaries that the tests start and kill, and runs `cargo test` with whatever arguments
//! it was given:
//! `cargo xtest`, `cargo xtest -p order`, `cargo xtest nats::`, `cargo xtest -- --nocapture`.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::available_parallelism;

use anyhow::{Context, Result, anyhow, ensure};
use nix::unistd::Uid;
use shop_tests::Tools;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let start = Instant::now();
    let result = run(env::args().skip(1).collect()).await;
    let seconds = start.elapsed().as_secs();
    match result {
        Ok(()) => {
            println!("xtest: passed in {seconds} s");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("xtest: FAILED after {seconds} s: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Vec<String>) -> Result<()> {
    let tools = Tools::from_env().announcing(say);
    let nats_server = tools.nats_server().await.map_err(|error| anyhow!("failed to {error}"))?;
    say(&format!("nats-server is {}", nats_server.display()));
    let postgres = tools.postgres_bin_dir().await.map_err(|error| anyhow!("failed to {error}"))?;
    say(&format!("PostgreSQL is {}", postgres.display()));

    let schemathesis = shop_tests::schemathesis(&tools).await.map_err(|error| anyhow!("failed to {error}"))?;
    say(&format!("Schemathesis is {}", schemathesis.display()));
    packages()?;

    // With the tests, not alone: alone the services would be built with fewer features of their dependencies, then once more.
    cargo(["build", "--workspace", "--bins", "--tests", "--examples"], |it| it)?;
    let is_package = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    let all = if arguments.iter().any(is_package) { None } else { Some("--workspace") };
    // They wait for servers and timers more than they compute.
    let threads =
        env::var("RUST_TEST_THREADS").or_else(|_| available_parallelism().map(|all| (2 * all.get()).to_string()))?;
    cargo(["test", "--no-fail-fast"].into_iter().chain(all), |it| {
        it.args(arguments).envs(Tools::environment(&nats_server, &postgres)).env("RUST_TEST_THREADS", threads)
    })
}

/// What only the system's package manager has: a program, and its package on Debian.
const PACKAGES: [(&str, &str); 5] = [
    ("pgbouncer", "pgbouncer"),
    ("promtool", "prometheus"),
    ("prometheus", "prometheus"),
    ("chromium", "chromium"),
    // Not in the package of the browser.
    ("chromedriver", "chromium-driver"),
];

/// Installs what is missing where that needs no questions: as root on Debian, so in a container or in CI. Elsewhere the tests
/// that need it will fail, and say so.
fn packages() -> Result<()> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let is_here = |name: &str| env::split_paths(&folders).any(|folder| folder.join(name).is_file());
    let mut missing: Vec<_> =
        PACKAGES.iter().filter(|(program, _)| !is_here(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !(is_here("apt-get") && Uid::effective().is_root()) {
        say(&format!("not here, and tests will fail without: {names}; on Debian: sudo apt-get install {names}"));
        return Ok(());
    }
    for arguments in [vec!["update"], [vec!["install", "--yes", "--no-install-recommends"], missing].concat()] {
        say(&format!("apt-get {}", arguments.join(" ")));
        let output = Command::new("apt-get").args(&arguments).env("DEBIAN_FRONTEND", "noninteractive").output()?;
        ensure!(output.status.success(), "apt-get: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn cargo<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    more: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<()> {
    let mut command = shop_tests::cargo();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    more(command.current_dir(root).args(arguments));
    let line = command.get_args().map(|it| it.to_string_lossy()).collect::<Vec<_>>().join(" ");
    say(&format!("cargo {line}"));
    let status = command.status().context("failed to run cargo")?;
    ensure!(status.success(), "cargo {line}: {status}");
    Ok(())
}

fn say(what: &str) {
    println!("xtest: {what}");
}
