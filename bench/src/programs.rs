//! The programs of this package that are measured as processes of their own.

use std::{env, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Where the program is. An optimised build builds it first; a debug build is that of the tests, for which Cargo builds all of them.
///
/// # Errors
///
/// When it can't be built, or isn't there.
pub(crate) async fn path(name: &str) -> Result<PathBuf> {
    if !cfg!(debug_assertions) {
        build(name).await?;
    }
    let path = env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "the program {name} is not at {}; `cargo test --package bench` builds it", path.display());
    Ok(path)
}

async fn build(name: &str) -> Result<()> {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--release", "--package", "bench", "--bin", name]);
    // What `cargo run` says of this package would have build scripts run again, ring's among them, and all that depends on it built anew.
    for (variable, _) in env::vars_os().filter(|(variable, _)| is_of_a_package(&variable.to_string_lossy())) {
        build.env_remove(variable);
    }
    let build = build.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let status = build.status().await.context("cargo can't be run")?;
    ensure!(status.success(), "the program {name} can't be built");
    Ok(())
}

fn is_of_a_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}
