use std::{fmt, future::Future, net::SocketAddr, pin::Pin};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Completes when a service is to stop.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service as its process runs it, in this process: on a port of its own, until it is stopped or dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: Task,
}

impl Served {
    /// Starts it. `run` gets the listener to serve on and what it has to stop at.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start<F, E>(run: impl FnOnce(TcpListener, Shutdown) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let bound = TcpListener::bind("127.0.0.1:0").await.and_then(|it| it.local_addr().map(|address| (it, address)));
        let (listener, address) = bound.unwrap_or_else(|error| panic!("failed to listen: {error}"));
        Self { address, task: Task::start(|shutdown| run(listener, shutdown)) }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Tells it to stop, and doesn't wait for that.
    pub fn begin_stop(&mut self) {
        self.task.begin_stop();
    }

    /// Stops it as SIGTERM would, and waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it ends with an error, or panicked.
    pub async fn stop(&mut self) {
        self.task.stop().await;
    }
}

/// What runs until it is told to stop. Dropped, it is told so.
#[derive(Debug)]
pub(crate) struct Task {
    stop: Option<oneshot::Sender<()>>,
    /// With its error, as it is shown.
    ended: Option<JoinHandle<Result<(), String>>>,
}

impl Task {
    pub(crate) fn start<F, E>(run: impl FnOnce(Shutdown) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Debug + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let running = run(Box::pin(async move { drop(stopped.await) }));
        let ended = tokio::spawn(async move { running.await.map_err(|error| format!("{error:?}")) });
        Self { stop: Some(stop), ended: Some(ended) }
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stop(&mut self) {
        self.begin_stop();
        let Some(ended) = self.ended.take() else { return };
        let ended = ended.await.unwrap_or_else(|error| Err(error.to_string()));
        ended.unwrap_or_else(|error| panic!("the service ended with an error: {error}"));
    }
}
