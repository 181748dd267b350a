//! The command that tries the shop in containers, as far as that can be seen without a Docker engine.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A folder with programs that write down how they are called, and end as told.
struct Stand(TempDir);

impl Stand {
    fn with(programs: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, ends) in programs {
            let path = folder.path().join(name);
            let calls = folder.path().join("calls");
            fs::write(&path, format!("#!/bin/sh\necho {name} \"$*\" >> {}\n{ends}\n", calls.display())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // What a script needs, and no docker but ours.
        let path = format!("{}:{}", self.0.path().display(), self.tools().display());
        let mut command = Command::new("/bin/bash");
        command.arg(root.join("docker/check.sh")).args(arguments).env_clear().env("PATH", path);
        command.output().unwrap()
    }

    /// A folder with `dirname`, which the script needs, and nothing else.
    fn tools(&self) -> std::path::PathBuf {
        let folder = self.0.path().join("tools");
        fs::create_dir_all(&folder).unwrap();
        let folders = env::var_os("PATH").unwrap();
        for tool in ["dirname", "sh"] {
            let found = env::split_paths(&folders).map(|it| it.join(tool)).find(|it| it.is_file()).unwrap();
            let link = folder.join(tool);
            if !link.exists() {
                std::os::unix::fs::symlink(found, link).unwrap();
            }
        }
        folder
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

const UP: &str = "docker compose --project-name pavane-check --file docker/compose.yaml up --build --detach --wait";
const DOWN: &str = "docker compose --project-name pavane-check --file docker/compose.yaml down --volumes";

#[test]
fn without_an_engine_it_says_what_is_missing_and_starts_nothing() {
    let no_engine = "[ \"$1\" != version ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }";
    let no_compose = "[ \"$1\" != compose ]";
    for (programs, missing) in [
        (vec![], "docker is not in PATH: install Docker"),
        (vec![("docker", no_engine)], "no Docker engine answers: Cannot connect to the Docker daemon; start one"),
        (vec![("docker", no_compose)], "docker has no compose plugin: install docker-compose-plugin"),
    ] {
        let stand = Stand::with(&programs);
        let output = stand.check(&[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(missing), "{missing}: {said}");
        assert!(!stand.calls().iter().any(|call| call.contains(" up ")), "{:?}", stand.calls());
    }
}

#[test]
fn with_an_engine_it_starts_the_composition_orders_from_it_and_stops_it() {
    let stand = Stand::with(&[("docker", ""), ("cargo", "")]);
    let output = stand.check(&["--orders", "7"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calls = stand.calls();
    assert_eq!(calls, ["docker version", "docker compose version", UP, "cargo demo --attach --orders 7", DOWN]);
}

#[test]
fn what_does_not_balance_fails_and_is_stopped_all_the_same() {
    for (programs, ended) in [
        ([("docker", ""), ("cargo", "exit 3")], 3),
        ([("docker", "case \"$*\" in *' up '*) exit 5;; esac"), ("cargo", "")], 5),
    ] {
        let stand = Stand::with(&programs);
        assert_eq!(stand.check(&[]).status.code(), Some(ended));
        let calls = stand.calls();
        assert!(calls.iter().any(|call| call.contains(" logs ")), "{calls:?}");
        assert_eq!(calls.last().map(String::as_str), Some(DOWN), "{calls:?}");
    }
}
