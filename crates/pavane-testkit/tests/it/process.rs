use std::time::Duration;

use anyhow::{Context, Result};
use pavane_testkit::servers::{Error, Process, ProcessOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const A_WHILE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_binary_that_is_not_built_is_named_with_the_command_that_builds_it() -> Result<()> {
    let error = Process::start("no-such-service", ProcessOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NotBuilt { .. }));
    assert!(error.to_string().contains("cargo build -p no-such-service"), "{error}");
    Ok(())
}

/// The example answers everything with 200. It comes with `cargo test`.
async fn ready() -> Result<Process, Error> {
    Process::start("examples/ready", ProcessOptions::default()).await
}

async fn request(process: &Process) -> Result<TcpStream> {
    let url = process.url();
    let mut connection = TcpStream::connect(url.strip_prefix("http://").context("HTTP")?).await?;
    connection.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    Ok(connection)
}

async fn answer(connection: &mut TcpStream) -> Result<String> {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A request that the paused process does not answer. The signal takes a moment, in which others may be.
async fn unanswered(process: &Process) -> Result<TcpStream> {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        let mut connection = request(process).await?;
        if timeout(A_WHILE, answer(&mut connection)).await.is_err() {
            return Ok(connection);
        }
    }
    anyhow::bail!("it answers on and on")
}

#[tokio::test]
async fn a_paused_process_answers_nothing_until_it_is_resumed() -> Result<()> {
    let mut process = ready().await?;
    process.pause();
    let mut first = unanswered(&process).await?;
    let mut second = request(&process).await?;
    assert!(timeout(A_WHILE, second.read_u8()).await.is_err());
    process.resume();
    for connection in [&mut first, &mut second] {
        let answer = timeout(SOON, answer(connection)).await??;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_paused_process_can_be_killed_and_terminated_and_dropped() -> Result<()> {
    let mut process = ready().await?;
    process.pause();
    unanswered(&process).await?;
    process.kill().await?;
    process.restart().await?;
    process.pause();
    unanswered(&process).await?;
    process.terminate().await?;
    process.restart().await?;
    process.pause();
    unanswered(&process).await?;
    let url = process.url();
    drop(process);
    let address = url.strip_prefix("http://").context("HTTP")?;
    assert!(TcpStream::connect(address).await.is_err(), "it is gone");
    Ok(())
}
