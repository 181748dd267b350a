//! A service's reactions and its HTTP side in one process, and how they stop.

use std::{
    future::{Future, pending},
    pin::Pin,
};

use anyhow::Context as _;
use axum::Router;
use pavane::{
    Bus,
    database::{App, Database},
    ops,
};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::{HttpLimits, operators_port, serve};

/// What a service stops at: `Box::pin(shutdown_signal())`.
///
/// Boxed, as [`Running`] is: so a service's `run` is compiled once, with the service, and not again in each program and test that runs it.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service that runs, until it has stopped or can't go on.
pub type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Runs a connected app, and serves `routes` and the [operators'](ops::router) beside it, until `shutdown`: on one port, or the
/// operators' on the address that the environment variable `METRICS_ADDR` names. All within
/// [limits](HttpLimits::from_env).
///
/// It stops in this order, and nothing else in the process decides about it:
///
/// 1. `/readyz` says no, so that no more requests are sent here;
/// 2. requests under way are answered, while the database and the relay are still there for them ([`serve`]);
/// 3. reactions under way end, what they emitted is published, and the connections are closed ([`App::run_until`]);
/// 4. traces are flushed, by [`process`](crate::process).
///
/// # Errors
///
/// When the process has another metrics recorder, `METRICS_ADDR` or a limit can't be used, or the app can't go on: HTTP is
/// cut off then.
pub async fn run<S, DB, B>(
    app: App<S, DB, B>,
    listener: TcpListener,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()>
where
    S: Send + Sync + 'static,
    DB: Database,
    B: Bus,
{
    let limits = HttpLimits::from_env()?;
    let readiness = app.readiness();
    let operators = ops::router(readiness.clone()).context("failed to set up metrics")?;
    let (routes, _operators) = match operators_port().await? {
        Some(port) => (routes, Some(operate(limits.clone(), port, operators))),
        None => (routes.merge(operators), None),
    };
    let shutdown = async move {
        shutdown.await;
        readiness.stopping();
    };
    // Boxed: it is large, and would be in each future that runs a service.
    let answered = Box::pin(serve(limits, listener, routes, shutdown));
    app.run_until(answered).await.context("failed to run the service")
}

/// Answers operators on a port of their own, until the handle is dropped: while a service stops, they still ask.
pub fn operate(limits: HttpLimits, port: TcpListener, routes: Router) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(serve(limits, port, routes, pending())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{extract::State, routing::post};
    use pavane::{
        Config, Correlation, Declared, EntryPoint, Event,
        any::{Db, Entry, Service},
        database::Config as DbConfig,
    };
    use pavane_bus::{Memory, topology::EVENTS};
    use pavane_contract::SystemClock;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tokio::{net::TcpStream, sync::Notify};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::Problem;

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
    #[event(name = "bank.opened", key = account)]
    struct Opened {
        account: String,
    }

    const OPEN: EntryPoint = EntryPoint::new("open");

    /// What the only request has: an entry point, and what it waits for.
    #[derive(Clone)]
    struct Counter {
        open: Entry,
        begun: Arc<Notify>,
        gate: Arc<Notify>,
    }

    async fn open(State(counter): State<Counter>) -> Result<&'static str, Problem> {
        counter.begun.notify_one();
        counter.gate.notified().await;
        let mut tx = counter.open.begin(Correlation::start()).await?;
        tx.emit(&Opened { account: "7".to_owned() }).await?;
        tx.commit().await?;
        Ok("opened")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_service_that_stops_is_not_ready_then_answers_then_publishes_and_ends() {
        let db = Db::open(DbConfig::new("bank", "sqlite::memory:")).await.unwrap();
        let bus = Memory::new(Arc::new(SystemClock));
        let service = Service::new("bank", ()).entry(&OPEN, Declared::emits::<Opened>);
        let app = service.connect_to(db, bus.clone(), Config::new("")).await.unwrap();
        let readiness = app.readiness();
        let counter = Counter { open: app.entry(&OPEN), begun: Arc::default(), gate: Arc::default() };
        let routes = Router::new().route("/open", post(open)).with_state(counter.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(app, listener, routes, stop.clone().cancelled_owned()));
        let request = tokio::spawn(reqwest::Client::new().post(format!("http://{address}/open")).send());
        counter.begun.notified().await;
        assert_eq!(readiness.missing().await, [""; 0]);

        stop.cancel();
        while TcpStream::connect(address).await.is_ok() {}
        assert_eq!(readiness.missing().await, ["the service is stopping"]);
        assert!(!running.is_finished() && !request.is_finished());

        counter.gate.notify_one();
        let answer = request.await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "opened"));
        running.await.unwrap().unwrap();
        assert_eq!(bus.messages(EVENTS).len(), 1, "what the last request emitted is published");
    }
}
