//! Keeps a service's background tasks running. A task that panics is started again; one that panics again and again ends the
//! service, so that `/readyz` is never green while a task is dead.

use std::{
    any::Any,
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use pavane_bus::{Bus, Topology};
use pavane_choreography::Declaration;
use pavane_inbox::{Consumer, dead_letter::Publisher};
use pavane_outbox::Database;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::Error;

/// What of a service is not running right now, each as a sentence by its name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<BTreeMap<String, String>>>);

impl Tasks {
    /// What is down, each as a sentence.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Says that the service is stopping, until it has stopped.
    pub(crate) fn stopping(&self) {
        let service = "the service";
        self.lock().insert(service.to_owned(), format!("{service} is stopping"));
    }

    /// Runs a task to its end. A task that panics is started again, after a pause that grows.
    ///
    /// # Errors
    ///
    /// When it panics again and again.
    pub(crate) async fn keep<F: Future<Output = ()>>(
        &self,
        task: &str,
        mut start: impl FnMut() -> F,
    ) -> Result<(), Error> {
        let mut panics = Panics::new();
        loop {
            let started = Instant::now();
            let Err(panic) = caught(start()).await else { return Ok(()) };
            self.down(task, &panic);
            tokio::time::sleep(panics.count(task, panic, started)?).await;
            self.up(task);
        }
    }

    fn down(&self, task: &str, cause: &str) {
        self.lock().insert(task.to_owned(), format!("{task} is not running: {cause}"));
    }

    fn up(&self, task: &str) {
        self.lock().remove(task);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many panics of one task came in a row.
struct Panics(u32);

impl Panics {
    /// After so many in a row the process ends, and its supervisor starts it again.
    const MAX: u32 = 5;
    /// After a run of this length the count starts again.
    const RECOVERED: Duration = Duration::from_mins(1);

    const fn new() -> Self {
        Self(0)
    }

    /// Counts a panic. Returns how long to pause before the task is started again.
    fn count(&mut self, task: &str, panic: String, started: Instant) -> Result<Duration, Error> {
        const PAUSE: Duration = Duration::from_millis(100);
        if started.elapsed() >= Self::RECOVERED {
            self.0 = 0;
        }
        self.0 += 1;
        if self.0 >= Self::MAX {
            error!(task, panic, times = self.0, "a task panics again and again; the service ends");
            return Err(Error::Task { task: task.to_owned(), cause: panic });
        }
        error!(task, panic, "a task panicked; starting it again");
        Ok(PAUSE * 2_u32.pow(self.0 - 1))
    }
}

/// Runs a task. A panic becomes an error with the panic's message.
async fn caught<T>(task: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(task).catch_unwind().await.map_err(|panic| format!("it panicked: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Takes a consumer's turns until it is told to stop, opening it again when it fails or panics; then drains it.
///
/// # Errors
///
/// When it panics again and again.
pub(crate) async fn consume<S: Send + Sync + 'static, DB: Database, B: Bus>(
    mut consumer: Consumer<S, DB, B>,
    tasks: Tasks,
    stop: CancellationToken,
    patience: Duration,
) -> Result<(), Error> {
    let task = format!("the reaction {:?}", consumer.name());
    let mut panics = Panics::new();
    loop {
        let started = Instant::now();
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => {
                if let Err(error) = consumer.drain(patience).await {
                    warn!(%error, "failed to close a consumer; some events are delivered again and skipped");
                }
                return Ok(());
            }
            ended = caught(run(&mut consumer)) => ended,
        };
        let mut pause = Duration::from_millis(100);
        match ended {
            Ok(failure) => {
                error!(reaction = consumer.name(), error = %failure, "failed to consume events; opening the consumer again");
                tasks.down(&task, &failure.to_string());
            }
            Err(panic) => {
                tasks.down(&task, &panic);
                pause = panics.count(&task, panic, started)?;
            }
        }
        if !reopen(&mut consumer, pause, &stop).await {
            return Ok(());
        }
        tasks.up(&task);
    }
}

async fn run<S: Send + Sync + 'static, DB: Database, B: Bus>(
    consumer: &mut Consumer<S, DB, B>,
) -> pavane_inbox::consumer::Error {
    loop {
        if let Err(error) = consumer.turn().await {
            return error;
        }
    }
}

/// Opens a consumer again, and retries until that succeeds. `false` when told to stop meanwhile.
async fn reopen<S: Send + Sync + 'static, DB: Database, B: Bus>(
    consumer: &mut Consumer<S, DB, B>,
    mut pause: Duration,
    stop: &CancellationToken,
) -> bool {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(pause) => {}
        }
        match consumer.reopen().await {
            Ok(()) => return true,
            Err(error) => warn!(reaction = consumer.name(), %error, "still failed to open a consumer"),
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Publishes dead letters until it is told to stop. What is left is published after the next start.
pub(crate) async fn publish_dead_letters<DB: Database, B: Bus>(
    mut publisher: Publisher<DB, B>,
    stop: CancellationToken,
) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = publisher.run() => {}
    }
}

/// Publishes the service's declaration. The service doesn't depend on it, so a failure is logged once, and the attempt repeated
/// for as long as the service runs.
pub(crate) async fn declare<B: Bus>(bus: B, declaration: Declaration, topology: Topology, stop: CancellationToken) {
    const PAUSE_MAX: Duration = Duration::from_mins(1);
    let service = &declaration.manifest.service;
    let json = match serde_json::to_vec(&declaration) {
        Ok(json) => bytes::Bytes::from(json),
        Err(error) => {
            return warn!(service, %error, "the service's declaration can't be written; monitors won't know it");
        }
    };
    let mut pause = Duration::from_secs(1);
    let mut told = false;
    loop {
        let declared = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            declared = bus.declare(&topology, service, json.clone()) => declared,
        };
        match declared {
            Ok(()) => return debug!(service, "declared"),
            Err(error) if told => debug!(service, %error, "still failed to declare the service"),
            Err(error) => {
                warn!(service, %error, "failed to declare the service; monitors don't know it until this works");
            }
        }
        told = true;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
