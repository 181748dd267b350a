//! A service of the shop as a process, for the row `idle`: `idle_service NATS_URL DATABASE_URL HTTP_ADDRESS`.

use anyhow::{Context as _, Result};
use pavane::Config;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().with_context(|| format!("the {what} is missing"));
    let config = Config::new(next("NATS server")?).database(next("database")?);
    let listener = TcpListener::bind(next("address")?).await?;
    inventory::run(config, listener, Box::pin(pavane::shutdown_signal())).await
}
