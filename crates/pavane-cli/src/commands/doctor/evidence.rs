//! What the deployment is asked before anything is judged. A forbidden question is evidence, too.

use std::time::Duration;

use pavane_bus::{
    Error, JetStream,
    jetstream::{ConsumerReport, ServerReport, StreamReport},
    topology::{AUDIT, DEAD_LETTERS, EVENTS},
};
use pavane_choreography::Declaration;
use pavane_contract::{Clock, SystemClock, Timestamp};
use pavane_observe::{Limits, View};

use super::{
    Arguments,
    outside::{self, HandlerTimes, Sync},
    tail::Tail,
};

/// Pause between two looks at consumers that seem unattended: a client requests more at once.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How many ack waits a client may be busy without settling anything.
const BUSY_ACK_WAITS: i64 = 3;
/// No stream has a message of this number; deleting it shows whether this user may delete.
const NO_SEQUENCE: u64 = u64::MAX;

/// Everything that is judged.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) server: Option<ServerReport>,
    pub(super) events: Option<StreamReport>,
    pub(super) dead_letters: Option<StreamReport>,
    pub(super) audit: Option<StreamReport>,
    pub(super) declarations: Vec<Declaration>,
    /// The durable ones; `None` when this user may not see them.
    pub(super) consumers: Option<Vec<ConsumerReport>>,
    pub(super) tail: Tail,
    /// The server's clock and ours, at about the same moment.
    pub(super) clocks: Option<(Timestamp, Timestamp)>,
    /// What this user may not do.
    pub(super) denied: Vec<String>,
    /// Whether this user may decide about dead letters, as far as that can be seen without a decision.
    pub(super) may_decide: bool,
    /// How often the server syncs; `None` when its monitoring wasn't asked.
    pub(super) sync: Option<Sync>,
    /// How long handlers take; `None` when no Prometheus was asked.
    pub(super) handlers: Option<HandlerTimes>,
    /// Why the monitoring or the Prometheus did not answer.
    pub(super) silent: Vec<String>,
}

impl Evidence {
    /// Asks all questions.
    pub(super) async fn gather(bus: &JetStream, arguments: &Arguments) -> anyhow::Result<Self> {
        let mut denied = Vec::new();
        let before = SystemClock.now();
        let events = allowed(bus.stream_report(EVENTS).await, &mut denied)?.flatten();
        let after = SystemClock.now();
        let clocks = events.as_ref().and_then(|events| events.at).zip(Some(middle(before, after)));
        let dead_letters = allowed(bus.stream_report(DEAD_LETTERS).await, &mut denied)?.flatten();
        let audit = allowed(bus.stream_report(AUDIT).await, &mut denied)?.flatten();
        let server = allowed(bus.server_report().await, &mut denied)?;
        let declarations = allowed(declarations(bus).await, &mut denied)?.unwrap_or_default();
        let consumers = allowed(consumers(bus).await, &mut denied)?;
        let tail = match &events {
            Some(events) => allowed(Tail::read(bus, events).await, &mut denied)?.unwrap_or_default(),
            None => Tail::default(),
        };
        let may_decide = match &dead_letters {
            Some(_) => !matches!(bus.delete_stored(DEAD_LETTERS, NO_SEQUENCE).await, Err(Error::Denied(_))),
            None => true,
        };
        let mut silent = Vec::new();
        let sync = answered(&mut silent, arguments.monitoring.as_deref(), outside::sync).await;
        let handlers = answered(&mut silent, arguments.prometheus.as_deref(), outside::handler_times).await;
        Ok(Self {
            server,
            events,
            dead_letters,
            audit,
            declarations,
            consumers,
            tail,
            clocks,
            denied,
            may_decide,
            sync,
            handlers,
            silent,
        })
    }

    /// The declared reactions: the service's declaration, the reaction's name, and its consumer's name.
    pub(super) fn reactions(&self) -> impl Iterator<Item = (&Declaration, &str, &str)> {
        self.declarations.iter().flat_map(|declaration| {
            let reactions = declaration.settings.reactions.iter();
            reactions.map(move |(name, settings)| (declaration, name.as_str(), settings.durable.as_str()))
        })
    }

    /// The consumer of this name.
    pub(super) fn consumer(&self, durable: &str) -> Option<&ConsumerReport> {
        self.consumers.iter().flatten().find(|consumer| consumer.name == durable)
    }
}

/// A forbidden question is noted, and the others follow; any other error ends it.
fn allowed<T>(asked: Result<T, Error>, denied: &mut Vec<String>) -> anyhow::Result<Option<T>> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Denied(what)) => {
            denied.push(what);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn answered<T>(
    silent: &mut Vec<String>,
    url: Option<&str>,
    ask: impl AsyncFnOnce(&str) -> anyhow::Result<T>,
) -> Option<T> {
    let url = url.filter(|url| !url.is_empty())?;
    let answer = ask(url).await;
    answer.map_err(|error| silent.push(format!("{url} does not answer: {error:#}"))).ok()
}

async fn declarations(bus: &JetStream) -> Result<Vec<Declaration>, Error> {
    let mut view = View::new(Limits::default());
    view.apply(crate::deployment::declarations(bus).await?);
    Ok(view.declarations().cloned().collect())
}

/// The durable consumers. One that seems unattended is read twice.
async fn consumers(bus: &JetStream) -> Result<Vec<ConsumerReport>, Error> {
    let mut first = bus.consumer_reports(EVENTS).await?;
    if first.iter().any(|consumer| !is_attended(consumer)) {
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        let again = bus.consumer_reports(EVENTS).await?;
        for consumer in &mut first {
            let attended = again.iter().find(|later| later.name == consumer.name && is_attended(later));
            if let (false, Some(attended)) = (is_attended(consumer), attended) {
                consumer.clone_from(attended);
            }
        }
    }
    first.retain(|consumer| consumer.durable);
    Ok(first)
}

/// Whether a client requests events, or is busy with some. One that left with unsettled events doesn't count.
pub(super) fn is_attended(consumer: &ConsumerReport) -> bool {
    let moved = consumer.delivered.active.max(consumer.settled.active);
    let still = consumer.at.zip(moved).map_or(0, |(at, moved)| crate::words::between(moved, at));
    let busy_for = i64::try_from(consumer.ack_wait.as_millis()).unwrap_or(i64::MAX).saturating_mul(BUSY_ACK_WAITS);
    consumer.waiting_pulls > 0 || (consumer.in_flight > 0 && still < busy_for)
}

fn middle(before: Timestamp, after: Timestamp) -> Timestamp {
    let half = (after.as_microsecond() - before.as_microsecond()) / 2;
    Timestamp::from_microsecond(before.as_microsecond() + half).unwrap_or(before)
}
