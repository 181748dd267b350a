use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::User;
use tokio::time::{self, Instant};

use super::Error;

const SCRIPT: &str = include_str!("leash.sh");
/// How often a process is looked at while it is waited for.
pub(super) const POLL: Duration = Duration::from_millis(2);
/// How long a dropped process may take to end by its own last signal.
const DROP_LIMIT_MS: u32 = 5_000;
/// Enough to show an error above its backtrace.
const LOG_LINES: usize = 200;

/// What to run, and how.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// How errors call it.
    pub(super) name: &'a str,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(String, String)>,
    /// The unprivileged user to become, for servers that refuse to run as root.
    pub(super) user: Option<&'a User>,
    /// Ends the process when its leash is let go.
    pub(super) last_signal: Signal,
    /// Holds the log. Removed when the test process dies without dropping anything.
    pub(super) folder: &'a Path,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    Kill,
    Term,
    /// PostgreSQL's fast shutdown: it does not wait for its clients to leave.
    Int,
    /// PostgreSQL's immediate shutdown: no checkpoint, but its shared memory is given back, as it is not after `Kill`.
    Quit,
    /// Stands still, with its connections open, until `Cont`.
    Stop,
    Cont,
    /// Reads its configuration again.
    Hup,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
            Self::Hup => "HUP",
        }
    }
}

/// A running process that ends when this value is dropped, or when this process dies in whatever way.
///
/// It holds the plain `std` child, not tokio's: a server shared by a test binary outlives the runtime of the test that
/// started it.
#[derive(Debug)]
pub(super) struct Leash {
    name: String,
    log: PathBuf,
    child: Child,
    /// The leash itself. `None` once it has been let go.
    hold: Option<ChildStdin>,
}

impl Leash {
    pub(super) fn spawn(launch: Launch<'_>) -> Result<Self, Error> {
        let log = launch.folder.join("log");
        let output = File::options().create(true).append(true).open(&log).map_err(Error::io("open", &log))?;
        let errors = output.try_clone().map_err(Error::io("open", &log))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "leash"])
            .arg(launch.folder)
            .arg(launch.last_signal.name())
            .arg(launch.program)
            .args(launch.arguments)
            .envs(launch.environment)
            .current_dir(launch.folder)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            // Not in our group: an interrupt typed at the terminal is for the test, which then lets go.
            .process_group(0);
        if let Some(user) = launch.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut child = command.spawn().map_err(Error::io("start", launch.program))?;
        let hold = child.stdin.take();
        Ok(Self { name: launch.name.to_owned(), log, child, hold })
    }

    /// Sends `signal`. A process that has already ended does not mind.
    pub(super) fn signal(&mut self, signal: Signal) {
        if let Some(hold) = &mut self.hold
            && let Err(error) = writeln!(hold, "{}", signal.name())
        {
            tracing::debug!(%error, name = self.name, "nobody is left to signal");
        }
    }

    /// Sends a signal that ends the process, one that stands still, too: without `Cont` it would take no notice but of `Kill`.
    pub(super) fn end(&mut self, signal: Signal) {
        self.signal(signal);
        if !matches!(signal, Signal::Kill) {
            self.signal(Signal::Cont);
        }
    }

    /// Waits until `ready` gives a value; fails when the process ends before that, or after `limit`.
    ///
    /// `ready` is no async closure: with one, who restarts a server could not be spawned as a task.
    pub(super) async fn until<T, F: Future<Output = Option<T>>>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> F,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(value) = ready().await {
                return Ok(value);
            }
            if let Some(status) = self.ended()? {
                return Err(self.ended_with(status));
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out("ready", limit));
            }
            time::sleep(POLL).await;
        }
    }

    /// Waits for the process to end.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out("end", limit));
            }
            time::sleep(POLL).await;
        }
    }

    /// Waits for the process to end, and wants it to end well.
    pub(super) async fn wait_success(&mut self, limit: Duration) -> Result<(), Error> {
        let status = self.wait(limit).await?;
        if status.success() { Ok(()) } else { Err(self.ended_with(status)) }
    }

    /// Everything that the process wrote.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what the process wrote.
    pub(super) fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// How the process ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(|reason| Error::Io { doing: format!("wait for {}", self.name), reason })
    }

    fn ended_with(&self, status: ExitStatus) -> Error {
        Error::Ended { name: self.name.clone(), status: in_words(status), log: self.log_tail() }
    }

    fn timed_out(&self, awaited: &'static str, limit: Duration) -> Error {
        Error::TimedOut { name: self.name.clone(), awaited, limit, log: self.log_tail() }
    }
}

impl Drop for Leash {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what its servers said")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- {} ----\n{}", self.name, self.log_tail());
        }
        self.hold = None;
        // Waits, so that the folder is nobody's when it is removed. Blocking, since nothing can be awaited here: a few
        // milliseconds at the end of a test.
        for _ in 0..DROP_LIMIT_MS {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        tracing::warn!(name = self.name, "did not end by its last signal");
    }
}

/// The shell reports a signal as 128 + its number.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code @ 129..=159), _) => format!("signal {}", code - 128),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
