use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::unistd::{User, geteuid};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::leash::{Launch, Leash, Signal};
use super::{Certificate, Error, Tools, free_port, pip};

const NAME: &str = "postgres";
/// The superuser that `initdb` creates.
pub(super) const ROLE: &str = "postgres";
/// The server writes its state into this file of the data folder.
const PID_FILE: &str = "postmaster.pid";
/// What a server says that was built without TLS.
const NO_TLS: &str = "SSL is not supported by this build";
/// Room for a pool in each service of each test that runs at the same time.
const CONNECTIONS: &str = "max_connections=400";
const READY_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How to run a [`Postgres`] server.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether a commit waits for the disk, as in production. By default it does not: what a test's server forgets when the
    /// machine loses power does not matter, and a killed server forgets nothing either way.
    pub durable: bool,
    /// The certificate of a server that speaks TLS, too. By default it doesn't.
    pub certificate: Option<Certificate>,
}

/// A real PostgreSQL server on 127.0.0.1, with a cluster of its own.
#[derive(Debug)]
pub struct Postgres {
    // Declared, so dropped, before the folder that it uses.
    leash: Leash,
    cluster: Cluster,
    databases: AtomicU32,
}

/// What a restart needs.
#[derive(Debug)]
struct Cluster {
    bin: PathBuf,
    /// PostgreSQL refuses to run as root: there it becomes an unprivileged user.
    user: Option<User>,
    port: u16,
    durable: bool,
    speaks_tls: bool,
    folder: TempDir,
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
        Ok(Self { leash, cluster, databases: AtomicU32::new(0) })
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

    /// Creates the database `name`, and returns its URL.
    ///
    /// # Errors
    /// When there is one of that name, or the server is not there.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        let mut command = Command::new(self.cluster.bin.join("createdb"));
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

    /// Kills the server with SIGKILL: its connections break, and it recovers at the next start.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.end(Signal::Kill).await
    }

    /// Stops the server: running transactions are rolled back, its files are closed.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.end(Signal::Int).await
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

    async fn end(&mut self, signal: Signal) -> Result<(), Error> {
        self.leash.signal(signal);
        self.leash.wait(STOP_LIMIT).await.map(drop)
    }
}

impl Cluster {
    fn create(bin: PathBuf, options: &PostgresOptions) -> Result<Self, Error> {
        let folder =
            TempDir::with_prefix("pavane-postgres-").map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let user = if geteuid().is_root() { unprivileged_user() } else { None };
        if let Some(user) = &user {
            let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            chown(folder.path(), uid, gid).map_err(Error::io("hand over", folder.path()))?;
        }
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", ROLE, "--pgdata"]);
        initdb.arg(folder.path().join("data")).current_dir(folder.path());
        if let Some(user) = &user {
            initdb.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        pip::run(&mut initdb)?;
        if let Some(certificate) = &options.certificate {
            write(certificate, &folder.path().join("data"), user.as_ref())?;
        }
        let port = free_port().map_err(Error::io("find a port for", &bin))?;
        Ok(Self { bin, user, port, durable: options.durable, speaks_tls: options.certificate.is_some(), folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// After a kill the server's own children need a moment to notice that it is gone, and until then a new one refuses to
    /// start; its port may be taken as well: tries again until the limit.
    async fn run(&self) -> Result<Leash, Error> {
        let deadline = Instant::now() + READY_LIMIT;
        let pid_file = self.data().join(PID_FILE);
        // A killed server leaves its file behind.
        let stale = fs::read_to_string(&pid_file).ok();
        loop {
            let mut leash = self.spawn()?;
            let ready = async || {
                let text = fs::read_to_string(&pid_file).ok()?;
                (stale.as_ref() != Some(&text) && accepts_clients(&text)).then_some(())
            };
            match leash.until(READY_LIMIT, ready).await {
                Err(Error::Ended { log, .. }) if log.contains(NO_TLS) => {
                    return Err(Error::NoTls { bin: self.bin.clone() });
                }
                Err(Error::Ended { log, .. }) if will_pass(&log) && Instant::now() < deadline => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(leash),
            }
        }
    }

    fn spawn(&self) -> Result<Leash, Error> {
        let mut arguments: Vec<OsString> =
            vec!["-D".into(), self.data().into(), "-p".into(), self.port.to_string().into()];
        let fsync = if self.durable { "fsync=on" } else { "fsync=off" };
        let ssl = if self.speaks_tls { "ssl=on" } else { "ssl=off" };
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", CONNECTIONS, fsync, ssl] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        Leash::spawn(Launch {
            name: NAME,
            program: &self.bin.join("postgres"),
            arguments,
            environment: Vec::new(),
            user: self.user.as_ref(),
            last_signal: Signal::Quit,
            folder: self.folder.path(),
        })
    }
}

/// Puts a certificate where the server looks for it by default. The server refuses a key that others may read.
fn write(certificate: &Certificate, data: &Path, user: Option<&User>) -> Result<(), Error> {
    for (name, text) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
        let path = data.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Error::io("protect", &path))?;
        if let Some(user) = user {
            let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            chown(&path, uid, gid).map_err(Error::io("hand over", &path))?;
        }
    }
    Ok(())
}

/// The eighth line of the server's pid file is its state.
fn accepts_clients(pid_file: &str) -> bool {
    pid_file.lines().nth(7).is_some_and(|state| state.trim() == "ready")
}

fn will_pass(log: &str) -> bool {
    ["Address already in use", "is still in use", "already exists"].iter().any(|reason| log.contains(reason))
}

pub(super) fn unprivileged_user() -> Option<User> {
    ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten())
}
