//! What the containers may do: no more than they need.

use std::{fs, path::Path};

/// The services of the composition that are the shop's own or its servers', each with its lines.
fn containers(compose: &str) -> Vec<(&str, Vec<&str>)> {
    let services = compose.split("\nservices:\n").nth(1).unwrap().split("\nvolumes:\n").next().unwrap();
    let mut containers: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in services.lines() {
        match line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#'])) {
            Some(name) if name.ends_with(':') => containers.push((name.trim_end_matches(':'), Vec::new())),
            _ => containers.last_mut().into_iter().for_each(|(_, lines)| lines.push(line.trim())),
        }
    }
    // Those that only watch, when asked for.
    containers.retain(|(_, lines)| !lines.contains(&"profiles: [observe]"));
    containers
}

#[test]
fn every_container_is_hardened() {
    const HARDENED: [&str; 3] = ["read_only: true", "cap_drop: [ALL]", "security_opt: [\"no-new-privileges:true\"]"];
    let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/compose.yaml");
    let compose = fs::read_to_string(compose).unwrap();
    let shared = compose.split("x-service: &service\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let shared: Vec<_> = shared.lines().map(str::trim).collect();
    let containers = containers(&compose);
    assert_eq!(containers.len(), 9, "{containers:?}");
    for (name, lines) in containers {
        let says = if lines.contains(&"<<: *service") { &shared } else { &lines };
        for setting in HARDENED {
            assert!(says.contains(&setting), "{name} lacks `{setting}`");
        }
    }
}
