use anyhow::Result;
use pavane_testkit::servers::{Process, ProcessOptions};

use crate::client::{ApiClient, INTENTS, intent};

fn options(folder: &std::path::Path) -> ProcessOptions {
    let database = format!("sqlite:{}", folder.join("psp.db").display());
    ProcessOptions { environment: vec![("DATABASE_URL".into(), database)], ..ProcessOptions::default() }
}

#[tokio::test]
async fn what_was_answered_survives_sigkill() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = Process::start("psp", options(folder.path())).await?;
    let client = ApiClient::new(process.url());
    let first = client.post(INTENTS, Some("k"), &intent("pm_card_visa", "order-1")).await?;
    process.kill().await?;
    assert!(client.get("/readyz").await.is_err(), "nobody answers while it is down");
    process.restart().await?;
    let again = client.post(INTENTS, Some("k"), &intent("pm_card_visa", "order-1")).await?;
    assert_eq!((again.status, again.replayed, again.body), (200, true, first.body));
    assert_eq!(client.books().await?, (0, 0, 1, 4200));
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_it_well_although_an_answer_is_held_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut process = Process::start("psp", options(folder.path())).await?;
    let client = ApiClient::new(process.url());
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.post(INTENTS, Some("k"), &intent("pm_card_timeout_after_charge", "order-1")).await }
    });
    while client.intents_of("order-1").await?.is_empty() {
        tokio::task::yield_now().await;
    }
    process.terminate().await?;
    assert!(held.await?.is_err(), "the connection is cut");
    assert!(process.log_tail().contains("stopping"), "{}", process.log_tail());
    Ok(())
}

#[tokio::test]
async fn a_database_that_it_cannot_use_is_named() -> Result<()> {
    let environment = vec![("DATABASE_URL".into(), "sqlite:/nowhere/psp.db".into())];
    let options = ProcessOptions { environment, ..ProcessOptions::default() };
    let error = Process::start("psp", options).await.unwrap_err().to_string();
    assert!(error.contains("exit status 1") && error.contains("DATABASE_URL is sqlite:/nowhere/psp.db"), "{error}");
    Ok(())
}
