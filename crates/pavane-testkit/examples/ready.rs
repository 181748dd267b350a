//! The least that can be started as a process: it answers everything over HTTP with 200, until SIGTERM.

use std::{env, io};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let listener = TcpListener::bind(env::var("HTTP_ADDR")?).await?;
    let mut ends = signal(SignalKind::terminate())?;
    loop {
        let (client, _) = select! {
            accepted = listener.accept() => accepted?,
            _ = ends.recv() => return Ok(()),
        };
        // A client that left meanwhile is no reason to end.
        answer(client).await.ok();
    }
}

/// A request is short: it arrives in one piece.
async fn answer(mut client: TcpStream) -> io::Result<()> {
    let mut request = [0; 1024];
    if client.read(&mut request).await? > 0 {
        client.write_all(ANSWER).await?;
    }
    Ok(())
}
