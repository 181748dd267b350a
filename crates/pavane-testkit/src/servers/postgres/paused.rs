use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::NAME;
use crate::servers::{Error, leash, pip};

/// A process that writes to the disk stops when it is done.
const LIMIT: Duration = Duration::from_secs(10);

/// The processes of a server that stand still. They go on when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Paused(Vec<Pid>);

impl Paused {
    /// Stops the postmaster first, so that there are no new processes, and then all that it has started. They aren't in its
    /// process group: each one is the head of its own.
    pub(super) fn stop(mut self, postmaster: Pid) -> Result<Self, Error> {
        self.stop_all(|process| process.pid == postmaster)?;
        self.stop_all(|process| process.parent == postmaster)?;
        Ok(self)
    }

    /// Kills them where they stand: those that are not the postmaster would go on for a while after it, and answer.
    pub(super) fn kill(&mut self) {
        for pid in self.0.drain(..) {
            send(pid, Signal::SIGKILL);
        }
    }

    /// Returns when none of them is seen running.
    fn stop_all(&mut self, is_meant: impl Fn(&Listed) -> bool) -> Result<(), Error> {
        let mut waited = Duration::ZERO;
        loop {
            let running: Vec<_> = list()?.into_iter().filter(|it| is_meant(it) && it.runs).collect();
            if running.is_empty() {
                return Ok(());
            }
            if waited >= LIMIT {
                let log = format!("these still run: {running:?}");
                return Err(Error::TimedOut { name: NAME.to_owned(), awaited: "paused", limit: LIMIT, log });
            }
            for process in running {
                send(process.pid, Signal::SIGSTOP);
                if !self.0.contains(&process.pid) {
                    self.0.push(process.pid);
                }
            }
            thread::sleep(leash::POLL);
            waited += leash::POLL;
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for pid in &self.0 {
            send(*pid, Signal::SIGCONT);
        }
    }
}

#[derive(Debug)]
struct Listed {
    pid: Pid,
    parent: Pid,
    /// It neither stands still nor has ended.
    runs: bool,
}

/// All processes of this machine.
fn list() -> Result<Vec<Listed>, Error> {
    let output = pip::run(Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="]))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(read).collect())
}

/// Reads a line such as `  4242   17 Ss+`.
fn read(line: &str) -> Option<Listed> {
    let mut words = line.split_whitespace();
    let mut pid = || Some(Pid::from_raw(words.next()?.parse().ok()?));
    let (pid, parent) = (pid()?, pid()?);
    Some(Listed { pid, parent, runs: !words.next()?.starts_with(['T', 'Z']) })
}

fn send(pid: Pid, signal: Signal) {
    if let Err(error) = kill(pid, signal) {
        tracing::debug!(%error, %pid, "the process has ended");
    }
}
