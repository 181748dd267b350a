//! The dashboard's files: ours ask nobody else, and others' are what their authors published.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn vendored_files_are_those_that_were_checked() {
    let vendor = folder().join("vendor");
    let register = fs::read_to_string(vendor.join("VENDOR.md")).unwrap();
    for path in files(&vendor).into_iter().filter(|path| path.extension().is_some_and(|it| it == "js")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let digest = Sha256::digest(fs::read(&path).unwrap());
        let digest = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let row = register.lines().find(|line| line.contains(&format!("`{name}`")));
        assert!(row.is_some_and(|row| row.contains(&digest)), "VENDOR.md doesn't say that {name} has sha256 {digest}");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    // A namespace is a name, not an address.
    const NAMESPACE: &str = "http://www.w3.org/2000/svg";
    for path in files(&folder()).into_iter().filter(|path| !path.starts_with(folder().join("vendor"))) {
        let text = fs::read_to_string(&path).unwrap().replace(NAMESPACE, "");
        for (number, line) in text.lines().enumerate() {
            let elsewhere = ["http://", "https://", "src=\"//", "href=\"//"].iter().any(|start| line.contains(start));
            assert!(!elsewhere, "{}:{} names another site: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn nothing_is_inline() {
    let page = fs::read_to_string(folder().join("index.html")).unwrap();
    for tag in page.split("<script").skip(1) {
        assert!(tag.split('>').next().unwrap().contains("src="), "an inline script: {tag}");
    }
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
}

#[test]
fn our_modules_are_small() {
    for path in files(&folder().join("js")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 300, "{} has {lines} lines", path.display());
    }
}
