//! Consumes a number of events, to be run under callgrind: `count_instructions pavane|raw NATS_URL WARM EVENTS`.

use anyhow::Result;

// One thread, so that the number of instructions doesn't depend on which of several was free.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (how, nats_url, events) = bench::counting_arguments()?;
    Box::pin(bench::consume(&how, &nats_url, events, || ())).await
}
