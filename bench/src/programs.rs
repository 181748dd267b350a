//! The programs of this package that are measured as processes of their own.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Builds the program as this one was built, if it isn't there yet, and returns where it is.
///
/// # Errors
///
/// When it can't be built.
pub(crate) async fn path(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build.args(["build", "--quiet", "--package", "bench", "--bin", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.stdin(Stdio::null()).status().await.context("cargo can't be run")?;
    ensure!(status.success(), "the program {name} can't be built");
    let path = here.with_file_name(name);
    ensure!(path.exists(), "the program {name} is not at {}", path.display());
    Ok(path)
}
