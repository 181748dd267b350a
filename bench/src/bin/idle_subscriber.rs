//! A bare subscriber as a process, the anchor of the row `idle`: `idle_subscriber NATS_URL _ HTTP_ADDRESS`.
//!
//! It accepts connections at the address once it has subscribed.

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().with_context(|| format!("the {what} is missing"));
    let (url, _, address) = (next("NATS server")?, next("database")?, next("address")?);
    let context = async_nats::jetstream::new(async_nats::connect(url).await?);
    let config = pull::Config { durable_name: Some("idle".to_owned()), ..pull::Config::default() };
    let mut messages = context.get_stream("EVENTS").await?.create_consumer(config).await?.messages().await?;
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    while let Some(message) = messages.next().await {
        message?.ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    Ok(())
}
