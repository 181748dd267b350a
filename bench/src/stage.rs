//! The servers, started when first needed, and ended with the program.

use anyhow::{Context as _, Result};
use pavane_testkit::servers::{Nats, Postgres, PostgresOptions, Tools};
use tokio::{process::Command, sync::OnceCell};

use crate::say;

/// Where a row is measured.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Little work, one run: only whether everything works counts.
    pub(crate) smoke: bool,
    /// How often each pair is run.
    pub(crate) runs: usize,
    tools: Tools,
    postgres: OnceCell<Postgres>,
}

impl Stage {
    pub(crate) fn new(smoke: bool, runs: usize) -> Self {
        let runs = if smoke { 1 } else { runs };
        Self { smoke, runs, tools: Tools::from_env().announcing(say), postgres: OnceCell::new() }
    }

    /// The amount of work for a run.
    pub(crate) fn size(&self, full: usize, smoke: usize) -> usize {
        if self.smoke { smoke } else { full }
    }

    /// A NATS server of the caller's own, with an empty store on disk.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub(crate) async fn nats(&self) -> Result<Nats> {
        Nats::start(&self.tools).await.context("no NATS server")
    }

    /// The PostgreSQL server that all rows share, with `fsync` and `synchronous_commit` on.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub(crate) async fn postgres(&self) -> Result<&Postgres> {
        let start = async || {
            let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
            Postgres::start_with(&self.tools, options).await.context("no PostgreSQL server")
        };
        self.postgres.get_or_try_init(start).await
    }

    /// Where `initdb`, `postgres` and `pgbench` are.
    ///
    /// # Errors
    ///
    /// When there is no PostgreSQL.
    pub(crate) async fn postgres_bin_dir(&self) -> Result<std::path::PathBuf> {
        Ok(self.tools.postgres_bin_dir().await?)
    }

    /// Which servers are used, in words.
    ///
    /// # Errors
    ///
    /// When one is missing.
    pub(crate) async fn versions(&self) -> Result<String> {
        let version = async |binary: std::path::PathBuf| {
            let output = Command::new(&binary).arg("--version").output().await?;
            anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let postgres = version(self.postgres_bin_dir().await?.join("postgres")).await?;
        let nats = version(self.tools.nats_server().await?).await?;
        Ok(format!("{postgres}; {nats}"))
    }
}
