//! Libraries that stand between a process and the C library (`LD_PRELOAD`, on Linux): a clock that is wrong, a disk that is full.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// One of them, and the files that say what it does.
pub(super) struct Preloaded {
    library: PathBuf,
    folder: TempDir,
}

impl Preloaded {
    /// Compiles it: one file, which needs nothing but a compiler.
    pub(super) fn compile(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        // PostgreSQL may be another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let library = folder.path().join(format!("lib{name}.so"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/chaos/{name}.rs"));
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut compile = Command::new(rustc);
        compile.args(["--edition=2024", "--crate-type=cdylib", "-O"]).arg(source).arg("-o").arg(&library);
        let compiled = compile.output().expect("rustc starts");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { library, folder }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The environment of a process that has it, and looks into this file.
    pub(super) fn environment(&self, variable: &'static str, file: &Path) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", self.library.display().to_string()), (variable, file.display().to_string())]
    }
}
