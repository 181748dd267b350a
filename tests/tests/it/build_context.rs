//! What `.dockerignore` lets through is a workspace that Cargo reads, with every file that the services are compiled from.
//!
//! No Docker engine is needed, and nothing is compiled twice: the compiler left a list of what it read beside each program.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The patterns of a `.dockerignore`, of the forms that ours has: a path whose parts are names or `*`, or `!` and such a path.
struct Ignore(Vec<(bool, Vec<String>)>);

impl Ignore {
    fn read(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pattern = |line: &str| {
            let (lets_through, path) = line.strip_prefix('!').map_or((false, line), |path| (true, path));
            let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
            let known = |part: &String| part == "*" || !part.is_empty() && !part.contains(['*', '?', '[', '\\', '!']);
            assert!(parts.iter().all(known), "this test does not know the pattern {line:?} yet: teach it");
            (lets_through, parts)
        };
        Self(lines.map(pattern).collect())
    }

    /// The last pattern that matches the path, or a folder that it is in, decides.
    fn lets_through(&self, path: &Path) -> bool {
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let matches = |pattern: &[String]| {
            pattern.len() <= parts.len()
                && pattern.iter().zip(&parts).all(|(wanted, part)| wanted == "*" || wanted == part)
        };
        self.0.iter().rfind(|(_, pattern)| matches(pattern)).is_none_or(|(lets_through, _)| *lets_through)
    }
}

fn ignore() -> Ignore {
    Ignore::read(&fs::read_to_string(root().join(".dockerignore")).unwrap())
}

/// The files of the repository, without what was built and what Git keeps.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("target" | ".git") => {}
            _ if path.is_dir() => files(&path, found),
            _ => found.push(path),
        }
    }
}

/// Copies what the pattern lets through.
fn context(ignore: &Ignore) -> TempDir {
    let (root, copy) = (root(), TempDir::with_prefix("pavane-context-").unwrap());
    let mut all = Vec::new();
    files(&root, &mut all);
    for file in all {
        let path = file.strip_prefix(&root).unwrap();
        if ignore.lets_through(path) {
            let to = copy.path().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
    }
    copy
}

/// Whether Cargo reads a workspace, with the versions of `Cargo.lock`; what it says otherwise.
fn metadata(folder: &Path) -> Result<(), String> {
    let host = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    // Only what this machine builds: what others need was never downloaded.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &host]);
    let ran = cargo.current_dir(folder).output().unwrap();
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).into_owned()) }
}

/// What the stage `manifests` of the Dockerfile leaves: manifests, and a file for every target.
fn keep_manifests(folder: &Path) {
    let mut all = Vec::new();
    files(folder, &mut all);
    for file in all {
        let path = file.to_str().unwrap();
        let target = path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs") || path.contains("/src/bin/");
        if !(path.ends_with("/Cargo.toml") || path.ends_with("/Cargo.lock") || target) {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn the_build_context_is_a_workspace_that_cargo_reads() {
    let copy = context(&ignore());
    metadata(copy.path()).unwrap();
    keep_manifests(copy.path());
    metadata(copy.path()).unwrap();
}

#[test]
fn a_context_that_lacks_a_member_of_the_workspace_is_noticed() {
    let text = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let copy = context(&Ignore::read(&text.replace("!bench\n", "")));
    let said = metadata(copy.path()).unwrap_err();
    assert!(said.contains("bench/Cargo.toml"), "{said}");
}

/// The packages that the Dockerfile builds.
fn packages() -> Vec<String> {
    let dockerfile = fs::read_to_string(root().join("docker/Dockerfile")).unwrap();
    let build = dockerfile.split("ENV BUILD=\"").nth(1).unwrap().split('"').next().unwrap();
    let packages: Vec<_> =
        build.split("--package ").skip(1).map(|it| it.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(packages.len() >= 7, "{build}");
    packages
}

/// The files of this repository that a program was compiled from, `include_str!` and the like included, by the compiler's list.
fn compiled_from(program: &str) -> Vec<PathBuf> {
    let this = env::current_exe().unwrap();
    let folder = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
    let list = fs::read_to_string(folder.join(program).with_extension("d"));
    let list =
        list.unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtest` builds it; alone: cargo build --bins"));
    let (_, sources) = list.split_once(": ").unwrap();
    let root = root();
    // Without the `..` of an `include_str!`.
    let own = |path: &str| Some(Path::new(path).canonicalize().ok()?.strip_prefix(&root).ok()?.to_owned());
    sources.split_whitespace().filter_map(own).collect()
}

#[test]
fn every_file_that_the_services_are_compiled_from_is_in_the_build_context() {
    let ignore = ignore();
    for package in packages() {
        let sources = compiled_from(&package);
        assert!(sources.len() > 20, "{package} is compiled from {sources:?} only");
        let missing: Vec<_> = sources.iter().filter(|path| !ignore.lets_through(path)).collect();
        assert!(missing.is_empty(), ".dockerignore keeps from {package}: {missing:?}");
    }
}

#[test]
fn every_file_that_the_images_copy_is_in_the_build_context() {
    let ignore = ignore();
    let dockerfile = fs::read_to_string(root().join("docker/Dockerfile")).unwrap();
    let copied: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).collect();
    for path in copied.iter().filter(|line| !line.starts_with("--from") && !line.starts_with(". ")) {
        let path = path.split_whitespace().next().unwrap();
        assert!(root().join(path).exists() && ignore.lets_through(Path::new(path)), "the images lack {path}");
    }
}
