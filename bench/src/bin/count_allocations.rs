//! Consumes events and prints how many allocations, and how many bytes of them, the later ones took:
//! `count_allocations pavane|raw NATS_URL WARM EVENTS`.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let _profiler = dhat::Profiler::builder().testing().build();
    let (how, nats_url, events) = bench::counting_arguments()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let marks = Arc::clone(&seen);
    let mark = move || {
        let stats = dhat::HeapStats::get();
        marks.lock().unwrap_or_else(PoisonError::into_inner).push((stats.total_blocks, stats.total_bytes));
    };
    Box::pin(bench::consume(&how, &nats_url, events, mark)).await?;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, last) = (seen.first().context("nothing was counted")?, seen.last().context("nothing was counted")?);
    print(last.0 - first.0, last.1 - first.1);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result is what the program is for")]
fn print(blocks: u64, bytes: u64) {
    println!("{blocks} {bytes}");
}
