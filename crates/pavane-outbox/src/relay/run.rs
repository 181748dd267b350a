//! When a relay takes its next turn.

use std::time::Duration;

use pavane_bus::{Bus, Wakes};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::{Progress, Relay};
use crate::{Database, chain};

/// The pause between two turns under load: events that are committed meanwhile are published in one batch.
const GATHER: Duration = Duration::from_millis(1);

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// Takes turns for ever: at once after a commit in this process or in another instance, and while there is more to publish;
    /// otherwise after a pause that grows. Stops when dropped; call [`release`](Self::release) then.
    pub async fn run(&mut self) {
        const POLL_MIN: Duration = Duration::from_millis(5);
        let mut wakes = self.listen().await;
        let mut pause = POLL_MIN;
        let mut failing = false;
        let mut gathered = Instant::now();
        loop {
            match self.turn().await {
                Ok(Progress::Sent { .. }) => {
                    if failing {
                        info!(service = self.db.service(), "the relay publishes again");
                    }
                    (pause, failing) = (POLL_MIN, false);
                    if self.window.was_filled {
                        continue;
                    }
                    gathered = Instant::now() + GATHER;
                }
                Ok(Progress::Idle { next_due }) => {
                    failing = false;
                    let due = next_due.map_or(self.config.poll_max, |due| Duration::from_micros(due.unsigned_abs()));
                    pause = (pause * 2).min(self.config.poll_max).min(due.max(POLL_MIN));
                }
                Ok(Progress::Standby) => {
                    self.stand_by().await;
                    continue;
                }
                Err(cause) => {
                    if cause.is_read_only() {
                        self.db.distrust();
                    }
                    // Logged once for each outage, not for each attempt.
                    if failing {
                        debug!(service = self.db.service(), cause = chain(&cause), "still failed to relay events");
                    } else {
                        warn!(
                            service = self.db.service(),
                            cause = chain(&cause),
                            "failed to relay events; trying again"
                        );
                    }
                    (pause, failing) = ((pause * 2).min(self.config.poll_max), true);
                    sleep(pause).await;
                    continue;
                }
            }
            // A commit ends the pause.
            let worth_a_look = async {
                tokio::select! {
                    () = self.db.committed() => {}
                    () = wakes.next() => {}
                }
            };
            if timeout(pause, worth_a_look).await.is_ok() {
                pause = POLL_MIN;
                sleep_until(gathered).await;
            }
        }
    }

    /// Subscribes to the wakes of the other instances. Without it, their commits wait until this relay polls.
    async fn listen(&self) -> Wakes {
        self.bus.listen(self.db.service()).await.unwrap_or_else(|cause| {
            warn!(service = self.db.service(), %cause, "failed to listen to the other instances; their events go out later");
            Wakes::never()
        })
    }

    /// Waits until it is time to try for the lease again. Meanwhile, wakes the instance that has it at each commit here.
    async fn stand_by(&self) {
        let until = Instant::now() + self.config.poll_max;
        while timeout_at(until, self.db.committed()).await.is_ok() {
            if let Err(cause) = self.bus.wake(self.db.service()).await {
                debug!(service = self.db.service(), %cause, "failed to wake the instance that publishes");
            }
            // A stream of commits must not delay the try for ever.
            if Instant::now() >= until {
                return;
            }
            sleep(GATHER).await;
        }
    }
}
