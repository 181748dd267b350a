//! Redrives under way, and the last ones.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use pavane::{
    Timestamp,
    contract::{Clock as _, SystemClock},
};
use pavane_bus::JetStream;
use pavane_observe::{
    audit::Because,
    redrive::{self, Options, Plan, Progress},
};
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// Redrives under way at once: more would only fight over the rate.
const RUNNING_MAX: usize = 4;
/// Redrives that are remembered.
const REMEMBERED_MAX: usize = 50;

/// A redrive, under way or ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Redrive {
    /// Names it, as long as this process runs.
    id: u64,
    /// Who wants it.
    by: String,
    /// Why.
    reason: String,
    /// Nothing is published.
    dry_run: bool,
    /// Most letters in a second.
    per_second: u32,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How far it is.
    progress: Progress,
}

/// All redrives that this process knows.
#[derive(Debug)]
pub(crate) struct Redrives {
    jobs: Mutex<BTreeMap<u64, Job>>,
    last: AtomicU64,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Job {
    redrive: Redrive,
    progress: watch::Receiver<Progress>,
    cancel: CancellationToken,
}

/// Too many are under way.
#[derive(Debug, thiserror::Error)]
#[error("{RUNNING_MAX} redrives are under way already; wait for one, or cancel it")]
pub(crate) struct TooMany;

impl Redrives {
    /// None yet. They are cancelled when the process stops.
    pub(crate) fn new(stopping: CancellationToken) -> Self {
        Self { jobs: Mutex::new(BTreeMap::new()), last: AtomicU64::new(0), stopping }
    }

    /// Begins one.
    pub(crate) async fn start(
        &self,
        bus: JetStream,
        plan: Plan,
        options: Options,
        because: Because,
    ) -> Result<Redrive, TooMany> {
        let mut jobs = self.jobs.lock().await;
        if jobs.values().filter(|job| !job.progress.borrow().finished).count() >= RUNNING_MAX {
            return Err(TooMany);
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut start = Progress::default();
        start.total = plan.letters.len();
        let (tell, progress) = watch::channel(start.clone());
        let redrive = Redrive {
            id,
            by: because.by.clone(),
            reason: because.reason.clone(),
            dry_run: options.dry_run,
            per_second: options.per_second,
            started_at: SystemClock.now(),
            progress: start,
        };
        let cancel = self.stopping.child_token();
        jobs.insert(id, Job { redrive: redrive.clone(), progress, cancel: cancel.clone() });
        while jobs.len() > REMEMBERED_MAX {
            jobs.pop_first();
        }
        tokio::spawn(run(bus, plan, options, because, (tell, cancel)));
        Ok(redrive)
    }

    /// All of them, the newest first.
    pub(crate) async fn all(&self) -> Vec<Redrive> {
        self.jobs.lock().await.values().rev().map(Job::told).collect()
    }

    /// One of them.
    pub(crate) async fn get(&self, id: u64) -> Option<Redrive> {
        self.jobs.lock().await.get(&id).map(Job::told)
    }

    /// Stops one between two letters; what was not redriven is still a dead letter.
    pub(crate) async fn cancel(&self, id: u64) -> Option<Redrive> {
        let jobs = self.jobs.lock().await;
        let job = jobs.get(&id)?;
        job.cancel.cancel();
        Some(job.told())
    }
}

impl Job {
    fn told(&self) -> Redrive {
        Redrive { progress: self.progress.borrow().clone(), ..self.redrive.clone() }
    }
}

async fn run(
    bus: JetStream,
    plan: Plan,
    options: Options,
    because: Because,
    (tell, cancel): (watch::Sender<Progress>, CancellationToken),
) {
    let run = redrive::run(&bus, &SystemClock, (&plan, &options), &because, (&tell, &cancel));
    match run.await {
        Ok(done) => tracing::info!(by = because.by, redriven = done.redriven, failed = done.failed, "a redrive ended"),
        Err(error) => {
            tracing::warn!(%error, "failed to redrive");
            tell.send_modify(|progress| {
                progress.finished = true;
                progress.error = Some(error.to_string());
            });
        }
    }
}
