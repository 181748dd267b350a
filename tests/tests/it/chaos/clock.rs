//! Clocks of processes that somebody sets.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// What a process reads when it asks for the time of day. Its file is with the others'.
pub(super) struct Clock(PathBuf);

impl Clock {
    /// Off by so many seconds.
    pub(super) fn jump(&self, seconds: i64) {
        self.set(seconds, 0);
    }

    /// Faster by so many milliseconds each second.
    pub(super) fn drift(&self, millis: i64) {
        self.set(0, millis);
    }

    /// Right again.
    pub(super) fn correct(&self) {
        self.set(0, 0);
    }

    fn set(&self, seconds: i64, millis: i64) {
        // In one step: the process may look at any time.
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{seconds} {millis}")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

/// Makes them.
pub(super) struct Clocks {
    library: PathBuf,
    folder: TempDir,
}

impl Clocks {
    /// Compiles what a process reads the time with: one file, which needs nothing but a compiler.
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let library = folder.path().join("libshifted_clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chaos/shifted_clock.rs");
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut compile = Command::new(rustc);
        compile.args(["--edition=2024", "--crate-type=cdylib", "-O"]).arg(source).arg("-o").arg(&library);
        let compiled = compile.output().expect("rustc starts");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { library, folder }
    }

    /// A clock that is right so far, and the environment of the process that is to have it.
    pub(super) fn make(&self, name: &str) -> (Clock, [(&'static str, String); 2]) {
        let clock = Clock(self.folder.path().join(name));
        clock.correct();
        let (library, file) = (self.library.display().to_string(), clock.0.display().to_string());
        (clock, [("LD_PRELOAD", library), ("SHIFTED_CLOCK", file)])
    }
}
