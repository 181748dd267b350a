//! Records what is in a deployment's streams, as the tests replay it: `cargo run -p pavane-cli --example record -- <url>`.
//!
//! One JSON object a line on standard output: stream, subject, headers and payload, in the streams' order.

use std::io::Write;

use pavane_bus::{
    JetStream,
    jetstream::{Config, Start},
    topology::{DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let bus = JetStream::connect(Config::new(url, "recorder")).await?;
    let mut out = std::io::stdout().lock();
    for stream in [DECLARATIONS_STREAM, EVENTS, DEAD_LETTERS] {
        let mut reader = bus.read(stream, &[], Start::First).await?;
        while reader.remaining() > 0 {
            for stored in reader.next(1024).await? {
                let message = stored.message;
                let headers: Vec<_> = message.headers.iter().collect();
                let payload = String::from_utf8_lossy(&message.payload);
                let line =
                    json!({ "stream": stream, "subject": message.subject, "headers": headers, "payload": payload });
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}
