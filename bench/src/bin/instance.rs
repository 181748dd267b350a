//! One instance of a service as a process, for the row `scale`: `instance NATS_URL DATABASE_URL`.

use anyhow::{Context as _, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().with_context(|| format!("the {what} is missing"));
    let (nats_url, database_url) = (next("NATS server")?, next("database")?);
    bench::instance(&nats_url, &database_url).await
}
