//! Processes that are killed, again and again.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, Result};
use pavane_testkit::servers::Process;
use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedMutRandom as _};
use tokio::{time::sleep, try_join};
use tokio_util::sync::CancellationToken;

/// Until `work` is done, kills one process after the other and starts it again. Returns how often it did.
pub(super) async fn kill_while<T>(
    processes: &mut [Process],
    pause: Duration,
    seed: u64,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, usize)> {
    let enough = CancellationToken::new();
    let work = async {
        let done = work.await;
        enough.cancel();
        done
    };
    let kill = async {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut kills = 0;
        while enough.run_until_cancelled(sleep(pause)).await.is_some() {
            let victim = processes.choose_mut(&mut rng).context("there is no process to kill")?;
            victim.restart().await.context("a process that was killed does not start again")?;
            kills += 1;
        }
        Ok(kills)
    };
    try_join!(work, kill)
}
