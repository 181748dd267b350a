//! `cargo xrelease`, or `just release-check`: what is too slow for every change, and must hold before a release.
//!
//! Each feature alone and all together; the packages that would be uploaded, each compiled from its own archive; the README's first
//! example in a new project, which compiles nothing of SQLite; and programs that know nothing of Pavane, over real servers.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use shop_tests::Tools;
use tempfile::TempDir;
use tokio::time::Instant;

/// Their features are chosen by those who use them.
const WITH_FEATURES: [&str; 3] = ["pavane", "pavane-outbox", "pavane-inbox"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let start = Instant::now();
    let result = run(&env::args().skip(1).collect::<Vec<_>>()).await;
    let seconds = start.elapsed().as_secs();
    match result {
        Ok(()) => {
            say(&format!("passed in {seconds} s"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("FAILED after {seconds} s: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(parts: &[String]) -> Result<()> {
    const PARTS: [&str; 4] = ["features", "packages", "readme", "from-sql"];
    if parts.iter().any(|part| part == "--help" || part == "-h") {
        say(&format!("checks what must hold before a release; name any of {PARTS:?}, or none for all"));
        return Ok(());
    }
    if let Some(other) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(anyhow!("{other:?} is not understood: name any of {PARTS:?}, or none for all"));
    }
    let chosen = |part: &str| parts.is_empty() || parts.iter().any(|chosen| chosen == part);
    let packages = published()?;
    if chosen("features") {
        features(&packages)?;
    }
    if chosen("packages") {
        let named = packages.iter().flat_map(|package| ["--package", package["name"].as_str().unwrap_or_default()]);
        let arguments = [&["package", "--locked"], named.collect::<Vec<_>>().as_slice()].concat();
        // Named, or each package would be compiled in a folder of its own, with all that it depends on.
        cargo(&arguments, |it| it.env("CARGO_TARGET_DIR", "target"))?;
    }
    if chosen("readme") {
        readme()?;
    }
    if chosen("from-sql") {
        from_sql().await?;
    }
    Ok(())
}

/// What would be uploaded.
fn published() -> Result<Vec<Value>> {
    let metadata = output(&["metadata", "--locked", "--no-deps", "--format-version", "1"], &root())?;
    let mut metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array_mut().context("cargo metadata names no packages")?;
    Ok(std::mem::take(packages).into_iter().filter(|package| package["publish"].is_null()).collect())
}

/// No feature, each alone, and all together.
fn features(packages: &[Value]) -> Result<()> {
    let lint = |arguments: &[&str]| {
        // Of what is depended upon, warnings are not our concern.
        let whole = [&["clippy", "--locked", "--no-deps", "--lib"], arguments, &["--", "--deny", "warnings"]].concat();
        cargo(&whole, |it| it)
    };
    for package in packages {
        let Some(name) = package["name"].as_str().filter(|name| WITH_FEATURES.contains(name)) else { continue };
        let features = package["features"].as_object().context("a package has no features")?;
        lint(&["--package", name, "--no-default-features"])?;
        for feature in features.keys().filter(|feature| *feature != "default") {
            lint(&["--package", name, "--no-default-features", "--features", feature])?;
        }
        lint(&["--package", name, "--all-features"])?;
    }
    Ok(())
}

/// The README's first example in a new project, as a reader makes one. It is a service on PostgreSQL.
fn readme() -> Result<()> {
    let page = fs::read_to_string(root().join("README.md"))?;
    let block = |language: &str| {
        let begin = page.split_once(&format!("```{language}\n")).context("the README has no such block")?.1;
        Ok::<_, anyhow::Error>(begin.split_once("```").context("a block doesn't end")?.0)
    };
    let project = TempDir::new()?;
    let package = "[package]\nname = \"new\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    // In place of the registry, until it is published.
    let ours = published()?.into_iter().filter_map(|package| {
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?.display().to_string();
        Some(format!("{} = {{ path = {folder:?} }}", package["name"].as_str()?))
    });
    let ours = ours.collect::<Vec<_>>().join("\n");
    let manifest = format!("{package}\n{}\n[patch.crates-io]\n{ours}\n", block("toml")?);
    fs::write(project.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(project.path().join("src"))?;
    fs::write(project.path().join("src/main.rs"), block("rust")?)?;
    // The versions that everything else is tested with.
    fs::copy(root().join("Cargo.lock"), project.path().join("Cargo.lock"))?;
    let target = root().join("target");
    cargo(&["clippy", "--no-deps", "--", "--deny", "warnings"], |it| {
        it.current_dir(project.path()).env("CARGO_TARGET_DIR", &target)
    })?;
    let tree = output(&["tree", "--edges", "normal,build", "--prefix", "none"], project.path())?;
    ensure!(
        tree.contains("sqlx-postgres") && !tree.contains("sqlite"),
        "a service on PostgreSQL compiles SQLite:\n{tree}"
    );
    say("its dependencies have sqlx-postgres, and nothing of SQLite");
    Ok(())
}

/// Programs on other drivers, which share a PostgreSQL with a service.
async fn from_sql() -> Result<()> {
    let tools = Tools::from_env().announcing(say);
    let nats_server = tools.nats_server().await.map_err(|error| anyhow!("failed to {error}"))?;
    let postgres = tools.postgres_bin_dir().await.map_err(|error| anyhow!("failed to {error}"))?;
    cargo(&["test", "--manifest-path", "examples/from-sql/Cargo.toml", "--target-dir", "target"], |it| {
        it.envs(Tools::environment(&nats_server, &postgres))
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn cargo(arguments: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
    let mut command = shop_tests::cargo();
    let line = arguments.join(" ");
    say(&format!("cargo {line}"));
    let status = more(command.current_dir(root()).args(arguments)).status().context("failed to run cargo")?;
    ensure!(status.success(), "cargo {line}: {status}");
    Ok(())
}

fn output(arguments: &[&str], folder: &Path) -> Result<String> {
    let mut command = shop_tests::cargo();
    let output = command.current_dir(folder).args(arguments).output().context("failed to run cargo")?;
    ensure!(output.status.success(), "cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn say(what: &str) {
    println!("xrelease: {what}");
}
