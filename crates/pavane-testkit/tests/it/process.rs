use anyhow::Result;
use pavane_testkit::servers::{Error, Process, ProcessOptions};

#[tokio::test]
async fn a_binary_that_is_not_built_is_named_with_the_command_that_builds_it() -> Result<()> {
    let error = Process::start("no-such-service", ProcessOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotBuilt { .. }));
    assert!(error.to_string().contains("cargo build -p no-such-service"), "{error}");
    Ok(())
}
