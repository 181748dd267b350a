use std::ffi::OsString;
use std::fs;
use std::future;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{PostgresOptions, ROLE, unprivileged_user};
use crate::servers::leash::{Launch, Leash, Signal};
use crate::servers::{Certificate, Error, free_port, pip};

pub(super) const NAME: &str = "postgres";
/// The server writes its state into this file of the data folder.
const PID_FILE: &str = "postmaster.pid";
/// A server that finds this file in the data folder starts as a standby.
const STANDBY_FILE: &str = "standby.signal";
/// What a server says that was built without TLS.
const NO_TLS: &str = "SSL is not supported by this build";
/// Room for a pool in each service of each test that runs at the same time.
const CONNECTIONS: &str = "max_connections=400";
const READY_LIMIT: Duration = Duration::from_mins(1);

/// The files of a server, and what a restart needs.
#[derive(Debug)]
pub(super) struct Cluster {
    kind: Kind,
    pub(super) port: u16,
    folder: TempDir,
}

/// What a server and its standby have in common.
#[derive(Debug, Clone)]
struct Kind {
    bin: PathBuf,
    /// PostgreSQL refuses to run as root: there it becomes an unprivileged user.
    user: Option<User>,
    durable: bool,
    speaks_tls: bool,
    environment: Vec<(String, String)>,
}

impl Cluster {
    pub(super) fn create(bin: PathBuf, options: &PostgresOptions) -> Result<Self, Error> {
        let user = if geteuid().is_root() { unprivileged_user() } else { None };
        let kind = Kind {
            bin,
            user,
            durable: options.durable,
            speaks_tls: options.certificate.is_some(),
            environment: options.environment.clone(),
        };
        let cluster = Self::empty(kind)?;
        let mut initdb = cluster.program("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", ROLE, "--pgdata"]);
        pip::run(initdb.arg(cluster.data()))?;
        if let Some(certificate) = &options.certificate {
            cluster.write_certificate(certificate)?;
        }
        Ok(cluster)
    }

    /// Copies the files of the running server: the copy starts as a standby of it.
    pub(super) async fn copy(&self) -> Result<Self, Error> {
        let (kind, port) = (self.kind.clone(), self.port);
        pip::blocking(move || {
            let cluster = Self::empty(kind)?;
            let mut backup = cluster.program("pg_basebackup");
            backup.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--host=127.0.0.1"]);
            backup.args(["--username", ROLE, "--port"]).arg(port.to_string());
            pip::run(backup.arg("--pgdata").arg(cluster.data()))?;
            Ok(cluster)
        })
        .await
    }

    /// Has the server start as a standby next time. Which server it follows is a setting.
    pub(super) fn become_standby(&self) -> Result<(), Error> {
        let path = self.data().join(STANDBY_FILE);
        fs::write(&path, "").map_err(Error::io("write", &path))?;
        self.hand_over(&path)
    }

    /// One of PostgreSQL's programs, to be run as the user that owns the files.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.kind.bin.join(name));
        command.current_dir(self.folder.path());
        if let Some(user) = &self.kind.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// The process that starts all others of the running server: it is on the first line of the pid file.
    pub(super) fn postmaster(&self) -> Result<Pid, Error> {
        let path = self.data().join(PID_FILE);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        let broken = || Error::io("read", &path)(std::io::ErrorKind::InvalidData.into());
        pid.map(Pid::from_raw).ok_or_else(broken)
    }

    fn empty(kind: Kind) -> Result<Self, Error> {
        let folder =
            TempDir::with_prefix("pavane-postgres-").map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let port = free_port().map_err(Error::io("find a port for", &kind.bin))?;
        let cluster = Self { kind, port, folder };
        cluster.hand_over(cluster.folder.path())?;
        Ok(cluster)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// After a kill the server's own children need a moment to notice that it is gone, and until then a new one refuses to
    /// start; its port may be taken as well: tries again until the limit.
    pub(super) async fn run(&self) -> Result<Leash, Error> {
        let deadline = Instant::now() + READY_LIMIT;
        let pid_file = self.data().join(PID_FILE);
        // A killed server leaves its file behind.
        let stale = fs::read_to_string(&pid_file).ok();
        loop {
            let mut leash = self.spawn()?;
            let is_ready = || {
                let text = fs::read_to_string(&pid_file).ok()?;
                (stale.as_ref() != Some(&text) && accepts_clients(&text)).then_some(())
            };
            match leash.until(READY_LIMIT, || future::ready(is_ready())).await {
                Err(Error::Ended { log, .. }) if log.contains(NO_TLS) => {
                    return Err(Error::NoTls { bin: self.kind.bin.clone() });
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
        let fsync = if self.kind.durable { "fsync=on" } else { "fsync=off" };
        let ssl = if self.kind.speaks_tls { "ssl=on" } else { "ssl=off" };
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", CONNECTIONS, fsync, ssl] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        Leash::spawn(Launch {
            name: NAME,
            program: &self.kind.bin.join("postgres"),
            arguments,
            environment: self.kind.environment.clone(),
            user: self.kind.user.as_ref(),
            last_signal: Signal::Quit,
            folder: self.folder.path(),
        })
    }

    /// Puts a certificate where the server looks for it by default. The server refuses a key that others may read.
    fn write_certificate(&self, certificate: &Certificate) -> Result<(), Error> {
        for (name, text) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
            let path = self.data().join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Error::io("protect", &path))?;
            self.hand_over(&path)?;
        }
        Ok(())
    }

    fn hand_over(&self, path: &Path) -> Result<(), Error> {
        let Some(user) = &self.kind.user else { return Ok(()) };
        let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        chown(path, uid, gid).map_err(Error::io("hand over", path))
    }
}

/// The eighth line of the server's pid file is its state.
fn accepts_clients(pid_file: &str) -> bool {
    pid_file.lines().nth(7).is_some_and(|state| state.trim() == "ready")
}

fn will_pass(log: &str) -> bool {
    ["Address already in use", "is still in use", "already exists"].iter().any(|reason| log.contains(reason))
}
