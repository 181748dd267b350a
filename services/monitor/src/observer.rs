//! Keeps the view up to date, and tells those who watch what changed.

use std::{sync::Arc, time::Duration};

use pavane_bus::JetStream;
use pavane_observe::{Error, Feed, Limits, View};
use tokio::{
    sync::{RwLock, RwLockReadGuard, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::live::Live;

/// How long it waits before it tries to read again.
const RETRY: Duration = Duration::from_secs(1);
/// How often those who watch are told what changed.
const BEAT: Duration = Duration::from_millis(500);
/// Even if nothing changed, time passed: after so many beats they are told so.
const QUIET_BEATS: u32 = 2;

/// What is known, and how well.
#[derive(Debug)]
pub(crate) struct Observer {
    view: RwLock<View>,
    trouble: watch::Sender<Option<String>>,
    live: Live,
}

impl Observer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { view: RwLock::new(View::new(limits)), trouble: watch::Sender::new(None), live: Live::new() }
    }

    /// What is known now.
    pub(crate) async fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().await
    }

    /// Why nothing can be read right now, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Who tells what changed.
    pub(crate) const fn live(&self) -> &Live {
        &self.live
    }

    /// Reads the streams for ever.
    pub(crate) async fn read(self: Arc<Self>, bus: JetStream) {
        let mut feed = Feed::new(bus);
        let started = tokio::time::Instant::now();
        let mut told = false;
        loop {
            if let Err(error) = self.turn(&mut feed).await {
                self.cannot_read(&error);
                sleep(RETRY).await;
            }
            if feed.is_loaded() && !told {
                told = true;
                let overview = self.view().await.overview();
                let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(events = overview.events, millis, "read what was in the streams");
            }
        }
    }

    /// Waits for the next updates and takes them in.
    pub(crate) async fn turn(&self, feed: &mut Feed) -> Result<(), Error> {
        let updates = feed.next().await?;
        self.view.write().await.apply(updates);
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
        Ok(())
    }

    /// Tells those who watch what changed, for ever.
    pub(crate) async fn beat(self: Arc<Self>) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        loop {
            beats.tick().await;
            let changes = self.view.write().await.take_changes();
            let is_quiet = changes.sagas.is_empty() && !changes.more;
            if !self.live.has_listeners() {
                if !is_quiet {
                    self.live.skip();
                }
                continue;
            }
            quiet = if is_quiet { quiet + 1 } else { QUIET_BEATS };
            if quiet >= QUIET_BEATS {
                quiet = 0;
                let overview = self.view().await.overview();
                self.live.tell(overview, changes);
            }
        }
    }

    fn cannot_read(&self, error: &Error) {
        let error = error.to_string();
        let is_new = self.trouble.send_if_modified(|trouble| trouble.replace(error.clone()).as_ref() != Some(&error));
        if is_new {
            tracing::warn!(error, "failed to read the streams; trying again");
        }
    }
}
