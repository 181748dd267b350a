mod cluster;
mod paused;

use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::User;
use tokio::sync::OnceCell;

use self::cluster::Cluster;
use self::paused::Paused;
use super::leash::{Leash, Signal};
use super::{Certificate, Error, Tools, pip};

/// The superuser that `initdb` creates.
pub(super) const ROLE: &str = "postgres";
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How to run a [`Postgres`] server.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether a commit waits for the disk, as in production. By default it does not: what a test's server forgets when the
    /// machine loses power does not matter, and a killed server forgets nothing either way.
    pub durable: bool,
    /// The certificate of a server that speaks TLS, too. By default it doesn't.
    pub certificate: Option<Certificate>,
    /// Set in the server's environment, beside that of the test.
    pub environment: Vec<(String, String)>,
}

/// A real PostgreSQL server on 127.0.0.1, with a cluster of its own.
#[derive(Debug)]
pub struct Postgres {
    // Declared, so dropped, before the leash: a process that stands still doesn't end.
    paused: Paused,
    // Before the folder that it uses.
    leash: Leash,
    cluster: Cluster,
    databases: AtomicU32,
}

impl Postgres {
    /// Creates a cluster in a temporary folder and starts a server on it: about a second.
    ///
    /// # Errors
    /// When no PostgreSQL can be found or fetched, or it does not start; what it logged is in the message.
    pub async fn start(tools: &Tools) -> Result<Self, Error> {
        Self::start_with(tools, PostgresOptions::default()).await
    }

    /// Starts a server with `options`.
    ///
    /// # Errors
    /// As for [`Postgres::start`].
    pub async fn start_with(tools: &Tools, options: PostgresOptions) -> Result<Self, Error> {
        let bin = tools.postgres_bin_dir().await?;
        let cluster = pip::blocking(move || Cluster::create(bin, &options)).await?;
        let leash = cluster.run().await?;
        Ok(Self::of(cluster, leash))
    }

    /// The one server that all tests of this program share, started at first use. It ends with the program.
    ///
    /// # Errors
    /// As for [`Postgres::start`].
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(async || Self::start(&Tools::from_env()).await).await
    }

    /// Where clients connect for `database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.cluster.port)
    }

    /// The port that it listens on, after a restart too.
    pub const fn port(&self) -> u16 {
        self.cluster.port
    }

    /// The folder with its files.
    pub fn data_dir(&self) -> PathBuf {
        self.cluster.data()
    }

    /// Creates the database `name`, and returns its URL.
    ///
    /// # Errors
    /// When there is one of that name, or the server is not there.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        let mut command = self.cluster.program("createdb");
        command.args(["--host=127.0.0.1", "--username", ROLE, "--port"]).arg(self.cluster.port.to_string());
        // Nobody can be connected to template0, which would make the copy fail.
        command.args(["--template=template0", "--", name]);
        pip::blocking(move || pip::run(&mut command)).await?;
        Ok(self.url(name))
    }

    /// Creates a database with a name of its own, for one test, and returns its URL.
    ///
    /// # Errors
    /// As for [`Postgres::create_database`].
    pub async fn fresh_database(&self) -> Result<String, Error> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        self.create_database(&format!("fresh_{number}")).await
    }

    /// Kills the server with SIGKILL: its connections break, and it recovers at the next start. A paused one, too.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.paused.kill();
        self.leash.end(Signal::Kill);
        self.leash.wait(STOP_LIMIT).await.map(drop)
    }

    /// Stops the server: running transactions are rolled back, its files are closed. A paused one is resumed.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.leash.end(Signal::Int);
        self.resume();
        self.leash.wait(STOP_LIMIT).await.map(drop)
    }

    /// Stops all processes of the server where they are, with SIGSTOP: it answers nothing, and its connections stay open. Returns
    /// when none of them runs any more.
    ///
    /// # Errors
    /// When its processes can't be listed by `ps`, or one of them goes on.
    pub async fn pause(&mut self) -> Result<(), Error> {
        if self.leash.ended()?.is_some() {
            return Ok(());
        }
        let postmaster = self.cluster.postmaster()?;
        let paused = mem::take(&mut self.paused);
        self.paused = pip::blocking(move || paused.stop(postmaster)).await?;
        Ok(())
    }

    /// Lets it go on after a [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.paused = Paused::default();
    }

    /// Starts the server again, on the same port and the same files; kills it first if it runs.
    ///
    /// # Errors
    /// As for [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.kill().await?;
        self.leash = self.cluster.run().await?;
        Ok(())
    }

    /// Copies the server while it runs, and starts the copy as its standby: it repeats what this one does, and can be read.
    pub(super) async fn start_standby(&self) -> Result<Self, Error> {
        let cluster = self.cluster.copy().await?;
        let leash = cluster.run().await?;
        Ok(Self::of(cluster, leash))
    }

    /// Starts the server, which was stopped, as a standby. Which server it follows is a setting.
    pub(super) async fn restart_as_standby(&mut self) -> Result<(), Error> {
        self.cluster.become_standby()?;
        self.restart().await
    }

    /// The end of what it has written so far.
    pub(super) fn log_tail(&self) -> String {
        self.leash.log_tail()
    }

    fn of(cluster: Cluster, leash: Leash) -> Self {
        Self { paused: Paused::default(), leash, cluster, databases: AtomicU32::new(0) }
    }
}

pub(super) fn unprivileged_user() -> Option<User> {
    ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten())
}
