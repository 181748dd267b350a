//! PostgreSQL's own benchmark, as an anchor.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::stage::Stage;

/// A program that runs a script of statements as fast as it can.
#[derive(Debug)]
pub(crate) struct PgBench {
    binary: PathBuf,
    url: String,
}

/// Statements for it, in a file, and the values of their variables.
#[derive(Debug)]
pub(crate) struct Script {
    file: NamedTempFile,
    variables: Vec<String>,
}

impl Script {
    /// # Errors
    ///
    /// When the file can't be written.
    pub(crate) fn new(statements: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let mut file = NamedTempFile::new()?;
        file.write_all(statements.as_bytes())?;
        let variables = variables.iter().map(|(name, value)| format!("--define={name}={value}")).collect();
        Ok(Self { file, variables })
    }
}

impl PgBench {
    /// Looks beside the server's binaries, and then on the PATH.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL.
    pub(crate) async fn find(stage: &Stage, url: &str) -> Result<Self> {
        let beside = stage.postgres_bin_dir().await?.join("pgbench");
        let binary = if beside.exists() { beside } else { "pgbench".into() };
        Ok(Self { binary, url: url.to_owned() })
    }

    /// Transactions in a second.
    ///
    /// # Errors
    ///
    /// When it fails, or one of its transactions does.
    pub(crate) async fn rate(&self, script: &Script, clients: usize, seconds: usize) -> Result<f64> {
        let mut command = Command::new(&self.binary);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        command.args(["--client", &clients.to_string(), "--time", &seconds.to_string(), "--file"]);
        let output = command.arg(script.file.path()).args(&script.variables).arg(&self.url).output().await;
        let output = output.with_context(|| format!("{} can't be run", self.binary.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        rate(&text).with_context(|| format!("pgbench said no rate: {text}"))
    }
}

/// Reads `tps = 1234.5 (without initial connection time)`.
fn rate(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        assert_eq!(rate("latency average = 1 ms\ntps = 1234.5 (without initial connection time)\n"), Some(1234.5));
        assert_eq!(rate("nothing"), None);
    }
}
