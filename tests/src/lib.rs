//! What the tests of the shop as a whole need beside servers, and what `cargo xtest`, `cargo xdeny` and `cargo xrelease` share.
//!
//! These programs are compiled before the workspace is, so they must not depend on it: of the test kit they have the modules that find
//! programs and fetch them, and nothing else. With the kit, most of what the workspace depends on would be compiled twice, once with
//! fewer features.

use std::{env, path::PathBuf, process::Command};

#[path = "../../crates/pavane-testkit/src/servers/error.rs"]
mod error;
#[path = "../../crates/pavane-testkit/src/servers/pip.rs"]
mod pip;
#[path = "../../crates/pavane-testkit/src/servers/tools.rs"]
mod tools;

pub use error::Error;
pub use tools::Tools;

/// The folder in which Schemathesis is, a Python package that makes requests of an API's description. Installs it if it isn't
/// there: `bin/schemathesis` runs with the folder as `PYTHONPATH`.
///
/// # Errors
///
/// When it isn't there and can't be installed.
pub async fn schemathesis(tools: &Tools) -> Result<PathBuf, Error> {
    tools.package("schemathesis", "4.32.5", include_str!("schemathesis.txt")).await
}

/// Cargo, as from a shell.
///
/// What `cargo run` says of the running program's package is taken away: build scripts that read it would run again, ring's among them,
/// and whatever depends on them would be compiled anew each time somebody goes from `cargo test` to `cargo xtest`.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(variable);
        }
    }
    cargo
}
