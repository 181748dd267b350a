use std::fs::{self, Permissions};

use super::*;

#[test]
fn a_version_is_read_from_what_the_server_says() {
    assert_eq!(nats_version("nats-server: v2.15.1\n"), Some([2, 15, 1]));
    assert_eq!(nats_version("nats-server: v2.11.0-preview.2"), Some([2, 11, 0]));
    assert_eq!(nats_version("usage: something else"), None);
}

// One test: a program that another thread is just starting cannot be written.
#[test]
fn a_server_that_is_too_old_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nats-server");
    let tools = Tools::from_env().only_in(folder.path().join("tools"));
    let named = Tools { nats_server: Some(program.clone()), ..tools.clone() };
    let on_path = Tools { path: folder.path().into(), ..tools };
    // Stands for a wheel that was installed before.
    let wheel = NATS_WHEEL.folder(&on_path.folder);
    fs::create_dir_all(&wheel).unwrap();

    for (version, is_new_enough) in [("v2.9.10", false), ("v2.10.7", false), ("v2.10.8", true), ("v3.0.0", true)] {
        fs::write(&program, format!("#!/bin/sh\necho nats-server: {version}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        match named.find_nats_server() {
            Ok(path) => assert_eq!((path, is_new_enough), (program.clone(), true), "{version}"),
            Err(error) => {
                assert!(!is_new_enough, "{version}: {error}");
                assert!(error.to_string().contains(NATS_SERVER_BIN), "{error}");
                assert!(error.to_string().contains("2.10.8 or newer is needed"), "{error}");
            }
        }
        let expected = if is_new_enough { program.clone() } else { wheel.join("bin/nats-server") };
        assert_eq!(on_path.find_nats_server().unwrap(), expected, "{version}");
    }
}
