use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a server or a process could not be found, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tool is nowhere, and could not be fetched either.
    #[error("find {tool}: {tried}; to get one: {advice}")]
    NotFound {
        /// What was looked for.
        tool: &'static str,
        /// Where it was looked for, and what happened there.
        tried: String,
        /// What a person can do.
        advice: String,
    },
    /// The tool that the environment names cannot be used.
    #[error("use {}, which {variable} names: {reason}", path.display())]
    Unusable {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A binary of this workspace has not been built.
    #[error("find {}; build it: cargo build -p {name}", path.display())]
    NotBuilt {
        /// The binary, which is also its package.
        name: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// The server should speak TLS, and was built without.
    #[error(
        "start PostgreSQL with TLS: the one in {} was built without it, as the one that is fetched is; install the system's \
         (Debian: apt-get install postgresql)",
        bin.display()
    )]
    NoTls {
        /// The folder of its programs.
        bin: PathBuf,
    },
    /// The process ended when it should not, or not as it should.
    #[error("keep {name} in order: it ended with {status}\n{log}")]
    Ended {
        /// Which process.
        name: String,
        /// Its exit status, in words.
        status: String,
        /// The end of what it wrote.
        log: String,
    },
    /// The process neither got ready nor ended in time.
    #[error("see {name} {awaited} within {limit:?}\n{log}")]
    TimedOut {
        /// Which process.
        name: String,
        /// What it should have become.
        awaited: &'static str,
        /// How long it had.
        limit: Duration,
        /// The end of what it wrote.
        log: String,
    },
    /// A helper command or a statement failed.
    #[error("run {command}: {output}")]
    Command {
        /// The command line, or the SQL.
        command: String,
        /// What it said.
        output: String,
    },
    /// A pair of PostgreSQL servers has only its primary left.
    #[error("promote the standby: there is none since the last failover; call rejoin() first")]
    NoStandby,
    /// The operating system said no.
    #[error("{doing}: {reason}")]
    Io {
        /// What was being done.
        doing: String,
        /// What it said.
        reason: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was being done, and to which path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| Self::Io { doing: format!("{doing} {}", path.display()), reason }
    }
}
