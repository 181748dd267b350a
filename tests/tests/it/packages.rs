//! What the manifests must keep to, so that each crate can be published and brings nothing that it doesn't use.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The packages of the workspace, as Cargo reads them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.args(["metadata", "--locked", "--no-deps", "--format-version", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 15, "{packages:?}");
    packages
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn folder(package: &Value) -> PathBuf {
    Path::new(text(package, "manifest_path")).parent().unwrap().to_owned()
}

/// All Rust in a folder, and the files elsewhere that it takes for modules; empty where there is no folder.
fn rust(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() {
            rust(&path)
        } else if is_rust {
            let code = fs::read_to_string(&path).unwrap();
            let elsewhere = code.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next());
            let modules = elsewhere.map(|module| fs::read_to_string(folder.join(module)).unwrap());
            [code.clone()].into_iter().chain(modules).collect::<Vec<_>>().join("\n")
        } else {
            String::new()
        }
    };
    paths.map(read).collect::<Vec<_>>().join("\n")
}

/// Whether code names a crate: `name::…`, `use name;`, `use name as …`.
fn names(code: &str, krate: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    code.match_indices(krate).any(|(at, _)| {
        let after = &code[at + krate.len()..];
        let alone = at == 0 || !of_a_name(code.as_bytes()[at - 1]);
        alone && [";", "::", " as ", ","].iter().any(|next| after.starts_with(next))
    })
}

#[test]
fn every_dependency_is_named_by_the_code() {
    let mut unused = Vec::new();
    for package in packages() {
        let folder = folder(&package);
        let src = rust(&folder.join("src"));
        let without_comments: Vec<_> = src.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = without_comments.join("\n");
        let tests = [src, rust(&folder.join("tests")), rust(&folder.join("examples"))].join("\n");
        for dependency in package["dependencies"].as_array().unwrap() {
            let krate = text(dependency, "name").replace('-', "_");
            let of_tests = dependency["kind"] == "dev";
            // A crate may ask for more features of itself in its tests.
            let is_itself = dependency["name"] == package["name"];
            if !is_itself && !names(if of_tests { &tests } else { &code }, &krate) {
                unused.push(format!("{} of {}", text(dependency, "name"), text(&package, "name")));
            }
        }
    }
    assert!(unused.is_empty(), "named in a manifest, and by no code: {unused:?}");
}

#[test]
fn what_is_published_can_be() {
    let packages = packages();
    let is_published = |package: &&Value| package["publish"].is_null();
    let published: Vec<_> = packages.iter().filter(is_published).collect();
    let names: Vec<_> = published.iter().map(|package| text(package, "name")).collect();
    assert!(names.iter().all(|name| *name == "pavane" || name.starts_with("pavane-")), "{names:?}");
    assert_eq!(names.len(), 10, "a new one is added here, on purpose: {names:?}");
    for package in published {
        let (name, folder) = (text(package, "name"), folder(package));
        for field in ["description", "license", "repository", "readme", "rust_version"] {
            assert!(package[field].is_string(), "{name} has no {field}");
        }
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(fs::read_to_string(folder.join(file)).is_ok_and(|text| text.len() > 100), "{file} of {name}");
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let (of_tests, has_version) = (dependency["kind"] == "dev", dependency["req"] != "*");
            let (ours, on) = (dependency["path"].is_string(), text(dependency, "name"));
            if of_tests && ours && name != "pavane-cli" {
                assert!(!has_version, "{name} tests with {on}: by path only, or neither can be published first");
            }
            if !of_tests {
                assert!(has_version && (!ours || names.contains(&on)), "{name} needs {on}, which nobody can download");
            }
        }
    }
}
