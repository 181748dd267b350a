use std::fs;
use std::future;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;

use super::leash::{Launch, Leash, Signal};
use super::postgres::{ROLE, unprivileged_user};
use super::{Error, Postgres, Tools, free_port, pip};

const NAME: &str = "pgbouncer";
const READY_LIMIT: Duration = Duration::from_secs(10);
/// The first version that can keep prepared statements apart, and may be told not to.
const PREPARES: [u32; 2] = [1, 21];

/// When a [`PgBouncer`] gives a client's connection to PostgreSQL to another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// At the end of each transaction. What one client prepared is then the next one's, as with every `PgBouncer` before 1.21, and later
    /// ones whose `max_prepared_statements` is 0.
    Transaction,
}

/// A real `PgBouncer` on 127.0.0.1, in front of a [`Postgres`].
#[derive(Debug)]
pub struct PgBouncer {
    // Declared, so dropped, before the folder that it uses.
    _leash: Leash,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one in front of all databases of a server.
    ///
    /// # Errors
    /// When there is no `PgBouncer`, or it does not start; what it logged is in the message.
    pub async fn start(tools: &Tools, postgres: &Postgres, mode: PoolMode) -> Result<Self, Error> {
        let program = tools.pgbouncer()?;
        let version = pip::run(Command::new(&program).arg("--version"))?;
        let prepares = reads_version(&String::from_utf8_lossy(&version.stdout)).is_some_and(|it| it >= PREPARES);
        let folder = TempDir::with_prefix("pavane-pgbouncer-");
        let folder = folder.map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let port = free_port().map_err(Error::io("find a port for", &program))?;
        let config = folder.path().join("pgbouncer.ini");
        let text = configuration(port, postgres, mode, prepares);
        fs::write(&config, text).map_err(Error::io("write", &config))?;
        // It refuses to run as root, as PostgreSQL does.
        let user = if geteuid().is_root() { unprivileged_user() } else { None };
        if let Some(user) = &user {
            for path in [folder.path(), &config] {
                let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
                chown(path, uid, gid).map_err(Error::io("hand over", path))?;
            }
        }
        let mut leash = Leash::spawn(Launch {
            name: NAME,
            program: &program,
            arguments: vec![config.into()],
            environment: Vec::new(),
            user: user.as_ref(),
            last_signal: Signal::Kill,
            folder: folder.path(),
        })?;
        let answers = || future::ready(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(drop));
        leash.until(READY_LIMIT, answers).await?;
        Ok(Self { _leash: leash, port, _folder: folder })
    }

    /// Where clients connect for `database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }
}

fn configuration(port: u16, postgres: &Postgres, mode: PoolMode, prepares: bool) -> String {
    let (role, server) = (ROLE, postgres.port());
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    };
    let prepares = if prepares { "max_prepared_statements = 0\n" } else { "" };
    format!(
        "[databases]\n* = host=127.0.0.1 port={server} user={role}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
         ignore_startup_parameters = extra_float_digits\n{prepares}"
    )
}

/// Reads `PgBouncer 1.18.0`.
fn reads_version(said: &str) -> Option<[u32; 2]> {
    let mut parts = said.split_whitespace().nth(1)?.split('.').map(str::parse::<u32>);
    Some([parts.next()?.ok()?, parts.next()?.ok()?])
}
