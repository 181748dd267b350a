//! What the tests of the shop as a whole need beside servers.

use std::path::PathBuf;

use pavane_testkit::servers::{Error, Tools};

/// The folder in which Schemathesis is, a Python package that makes requests of an API's description. Installs it if it isn't
/// there: `bin/schemathesis` runs with the folder as `PYTHONPATH`.
///
/// # Errors
///
/// When it isn't there and can't be installed.
pub async fn schemathesis(tools: &Tools) -> Result<PathBuf, Error> {
    tools.package("schemathesis", "4.32.5", include_str!("schemathesis.txt")).await
}
