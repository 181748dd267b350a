//! The architecture's invariants, where a test can hold them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use pavane_choreography::Manifest;

/// The wiring tables of the shop.
pub(crate) fn manifests() -> Vec<Manifest> {
    let payment = payment::Payment::new(payment::PspClient::new(&payment::Settings::default()).unwrap());
    let notification = notification::Mailer::new(&notification::Settings::default()).unwrap();
    vec![
        order::service(order::Orders::default()).manifest(),
        payment::service(payment).manifest(),
        inventory::service(inventory::Inventory).manifest(),
        shipping::service(shipping::Shipping).manifest(),
        notification::service(notification::Notification::new(notification)).manifest(),
    ]
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The code of a file, without comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn offenders(files: Vec<PathBuf>, offends: impl Fn(&Path, &str) -> bool) -> Vec<PathBuf> {
    files.into_iter().filter(|path| offends(path, &code(path))).collect()
}

#[test]
fn only_the_bus_names_the_nats_client() {
    for folder in ["crates", "services"] {
        let files: Vec<_> = sources(folder)
            .into_iter()
            .filter(|path| {
                !path
                    .components()
                    .any(|part| ["pavane-bus", "tests", "benches"].iter().any(|name| part.as_os_str() == *name))
            })
            .collect();
        let found = offenders(files, |_, code| code.contains("async_nats"));
        assert!(found.is_empty(), "only pavane-bus may name async_nats: {found:?}");
    }
}

#[test]
fn contract_and_choreography_do_no_io() {
    for folder in ["crates/pavane-contract/src", "crates/pavane-choreography/src"] {
        let io = ["std::fs", "std::net", "tokio", "sqlx", "async_nats", "std::process", "std::env"];
        let found = offenders(sources(folder), |_, code| io.iter().any(|name| code.contains(name)));
        assert!(found.is_empty(), "{folder} must do no I/O: {found:?}");
    }
}

#[test]
fn sql_is_in_store_files_only() {
    for folder in ["crates", "services"] {
        let files: Vec<_> = sources(folder)
            .into_iter()
            .filter(|path| {
                !path.components().any(|part| {
                    ["tests", "examples", "pavane-testkit", "demo"].iter().any(|name| part.as_os_str() == *name)
                })
            })
            .filter(|path| {
                !path.components().any(|part| part.as_os_str().to_str().is_some_and(|name| name.starts_with("store")))
            })
            .collect();
        let sql = ["insert into ", "update pavane", "delete from ", " from pavane_"];
        let found = offenders(files, |_, code| sql.iter().any(|words| code.contains(words)));
        assert!(found.is_empty(), "SQL belongs into store.rs: {found:?}");
    }
}

#[test]
fn a_service_on_postgresql_compiles_nothing_of_sqlite() {
    let tree = |features: &str| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["tree", "--locked", "--package", "pavane", "--edges", "normal,build", "--prefix", "none"]);
        let output = cargo.args(["--no-default-features", "--features", features]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let native = tree("postgres,ops,otel");
    assert!(native.contains("sqlx-postgres") && !native.contains("sqlite"), "{native}");
    assert!(tree("any").contains("libsqlite3-sys"));
}

#[test]
fn the_ack_has_one_call_site() {
    let found = offenders(sources("crates/pavane-inbox/src"), |_, code| code.contains(".ack()"));
    let sites: usize = found.iter().map(|path| code(path).matches(".ack()").count()).sum();
    assert_eq!(sites, 1, "{found:?}");
}

#[test]
fn docs_link_to_tests_that_exist() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut links = 0;
    for page in ["guarantees.md", "failure-modes.md"] {
        let text = fs::read_to_string(docs.join(page)).unwrap();
        for link in text.split("[`").skip(1) {
            let (name, rest) = link.split_once("`](").unwrap();
            let target = rest.split(')').next().unwrap();
            let file =
                fs::read_to_string(docs.join(target)).unwrap_or_else(|error| panic!("{page}: {target}: {error}"));
            if !name.contains('/') {
                assert!(file.contains(&format!("fn {name}")), "{page}: {target} has no {name}");
                links += 1;
            }
        }
    }
    assert!(links > 40, "only {links} links to tests");
}
