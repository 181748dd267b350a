//! A deployment as the recording left it.
//!
//! `recording.jsonl` was made by `examples/record.rs` from a run of the shop's demo: three orders, of which the third was cut
//! after its stock was reserved, as if shipping had been away since; and three orders whose bodies payment could not read.

use std::{collections::BTreeMap, time::Duration};

use pavane_bus::{
    Bus, ConsumerConfig, JetStream, Outgoing, Subscription, Topology,
    jetstream::Config,
    topology::{DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_contract::{Clock, EventId, RawEnvelope, SystemClock, codec, codec::header, subject};
use pavane_testkit::servers::{Nats, NatsOptions, Tools};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// It succeeded.
pub(crate) const CONFIRMED: &str = "01a2029d-59b0-7a52-b73b-7c0e8ddc2a51";
/// Its money could not be taken, and all was undone.
pub(crate) const COMPENSATED: &str = "01a2029d-59c3-7945-8ab7-cb84f4a8c636";
/// Shipping never answered.
pub(crate) const STUCK: &str = "01a2029d-59b8-71fb-b0ab-19a82de7d18c";
/// Payment could not read them.
pub(crate) const UNREADABLE: [&str; 3] = [
    "01a2029d-5c00-7000-8000-000000000001",
    "01a2029d-5c00-7000-8000-000000000002",
    "01a2029d-5c00-7000-8000-000000000003",
];

const RECORDING: &str = include_str!("recording.jsonl");

/// A recorded message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Recorded {
    stream: String,
    pub(crate) subject: String,
    headers: Vec<(String, String)>,
    payload: String,
}

impl Recorded {
    /// An event, as if it had been recorded.
    pub(crate) fn of(event: &RawEnvelope) -> Self {
        let headers = codec::encode(event);
        Self {
            stream: EVENTS.to_owned(),
            subject: subject::of(&event.meta.event, &event.meta.key),
            headers: headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            payload: String::from_utf8_lossy(&event.body).into_owned(),
        }
    }
}

/// A server with a deployment on it.
pub(crate) struct Stage {
    pub(crate) nats: Nats,
    pub(crate) bus: JetStream,
    /// What the services declare.
    pub(crate) declarations: BTreeMap<String, Value>,
    attendants: Vec<(String, JoinHandle<()>)>,
}

impl Stage {
    /// A server with streams, and nobody there.
    pub(crate) async fn empty() -> Self {
        Self::with("", None).await
    }

    /// As [`empty`](Self::empty), with more of the server's configuration, and how often it syncs.
    pub(crate) async fn with(config: &str, sync_interval: Option<&str>) -> Self {
        let (config, sync_interval) = (config.to_owned(), sync_interval.map(str::to_owned));
        let options = NatsOptions { config, sync_interval, ..NatsOptions::default() };
        let nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
        let bus = JetStream::connect(Config::new(nats.url(), "stage")).await.unwrap();
        bus.provision(&Topology::default()).await.unwrap();
        let declarations = recording(DECLARATIONS_STREAM).map(|recorded| {
            let declaration: Value = serde_json::from_str(&recorded.payload).unwrap();
            (recorded.subject.rsplit('.').next().unwrap().to_owned(), declaration)
        });
        Self { nats, bus, declarations: declarations.collect(), attendants: Vec::new() }
    }

    /// The shop, with its services there and nothing ordered.
    pub(crate) async fn open() -> Self {
        let mut stage = Self::empty().await;
        for service in stage.declarations.keys().cloned().collect::<Vec<_>>() {
            stage.declare(&service).await;
            stage.attend(&service).await;
        }
        stage
    }

    /// The shop with everything that was recorded: shipping has left.
    pub(crate) async fn recorded() -> Self {
        let mut stage = Self::open().await;
        // Shipping's answer is overdue at once, so that no test has to wait for that.
        let shipping = stage.declarations.get_mut("shipping").unwrap();
        shipping["settings"]["reactions"]["create-shipment"]["stuck_after"] = json!({ "secs": 0, "nanos": 1_000_000 });
        stage.declare("shipping").await;
        stage.order(CONFIRMED).await;
        stage.order(COMPENSATED).await;
        stage.settled().await;
        stage.leave("shipping").await;
        stage.order(STUCK).await;
        for saga in UNREADABLE {
            stage.order(saga).await;
        }
        for letter in recording(DEAD_LETTERS) {
            stage.publish(&letter).await;
        }
        stage.settled().await;
        stage
    }

    pub(crate) fn url(&self) -> String {
        self.nats.url()
    }

    /// Publishes the events of a saga.
    pub(crate) async fn order(&self, saga: &str) {
        self.order_until(saga, "").await;
    }

    /// Publishes the events of a saga up to one of them.
    pub(crate) async fn order_until(&self, saga: &str, last: &str) {
        for event in recording(EVENTS).filter(|event| event.subject.ends_with(saga)) {
            self.publish(&event).await;
            if event.subject.starts_with(&format!("events.{last}.")) {
                break;
            }
        }
    }

    /// Publishes a message as it was recorded, but for when it was emitted: now.
    pub(crate) async fn publish(&self, recorded: &Recorded) {
        let now = |(name, value): &(String, String)| {
            let value = if name == header::TIME { SystemClock.now().to_string() } else { value.clone() };
            (name.clone(), value)
        };
        let message = Outgoing {
            subject: recorded.subject.clone(),
            headers: recorded.headers.iter().map(now).collect(),
            payload: recorded.payload.clone().into(),
            message_id: EventId::new(&SystemClock).to_string(),
        };
        self.bus.publish(vec![message]).await.remove(0).unwrap();
    }

    /// Another saga begins that is about the same: both have one key.
    pub(crate) async fn order_again(&self, saga: &str) {
        let mut event = recording(EVENTS).find(|event| event.subject.ends_with(saga)).unwrap();
        let other = EventId::new(&SystemClock).to_string();
        for (name, value) in &mut event.headers {
            if [header::ID, header::CORRELATION_ID].contains(&name.as_str()) {
                value.clone_from(&other);
            }
        }
        self.publish(&event).await;
    }

    /// A reaction gives up on an event of a saga.
    pub(crate) async fn give_up(&self, (service, reaction): (&str, &str), event: &str, saga: &str, cause: &str) {
        let subject = format!("events.{event}.{saga}");
        let mut letter = recording(EVENTS).find(|event| event.subject == subject).unwrap();
        letter.subject = format!("dead.{service}.{reaction}.{subject}");
        letter.headers.push(("pavane-dead-cause".to_owned(), cause.to_owned()));
        letter.headers.push(("pavane-dead-attempts".to_owned(), "8".to_owned()));
        self.publish(&letter).await;
    }

    /// A service says what it is.
    pub(crate) async fn declare(&self, service: &str) {
        let declaration = self.declarations[service].to_string();
        self.bus.declare(&Topology::default(), service, declaration.into()).await.unwrap();
    }

    /// A service's consumers are there, and handle whatever comes.
    pub(crate) async fn attend(&mut self, service: &str) {
        for (reaction, consumer) in consumers(&self.declarations[service]) {
            let mut subscription = self.bus.subscribe(&consumer).await.unwrap();
            let attendant = tokio::spawn(async move {
                while let Ok(deliveries) = subscription.receive(64).await {
                    for delivery in deliveries {
                        delivery.ack().await.unwrap();
                    }
                }
            });
            self.attendants.push((format!("{service}/{reaction}"), attendant));
        }
    }

    /// A service goes away.
    pub(crate) async fn leave(&mut self, service: &str) {
        let (left, stay) = std::mem::take(&mut self.attendants)
            .into_iter()
            .partition(|(name, _): &(String, _)| name.starts_with(&format!("{service}/")));
        self.attendants = stay;
        for (_, attendant) in left {
            attendant.abort();
        }
        let ours = format!("{service}_");
        self.until("its requests have expired", async || {
            let reports = self.bus.consumer_reports(EVENTS).await.unwrap();
            reports.iter().filter(|report| report.name.starts_with(&ours)).all(|report| report.waiting_pulls == 0)
        })
        .await;
    }

    /// Waits until the services that run have handled everything.
    pub(crate) async fn settled(&self) {
        self.until("everything is handled", async || {
            let reports = self.bus.consumer_reports(EVENTS).await.unwrap();
            let attended = reports.iter().filter(|report| report.waiting_pulls > 0);
            attended.clone().count() >= self.attendants.len()
                && attended.clone().all(|report| report.pending == 0 && report.in_flight == 0)
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        pavane_testkit::until(what, async || so().await.then_some(())).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (_, attendant) in &self.attendants {
            attendant.abort();
        }
    }
}

/// A declared service's consumers, by reaction, as the framework would have them.
pub(crate) fn consumers(declaration: &Value) -> Vec<(String, ConsumerConfig)> {
    let service = declaration["manifest"]["service"].as_str().unwrap();
    let reactions = declaration["manifest"]["reactions"].as_array().unwrap();
    let consumer = |reaction: &Value| {
        let name = reaction["name"].as_str().unwrap();
        let events = reaction["on"].as_array().unwrap().iter();
        let event = |event: &Value| serde_json::from_value(event.clone()).unwrap();
        let mut filter_subjects: Vec<String> = events.map(|on| subject::filter(&event(on))).collect();
        filter_subjects.push(format!("redrive.{service}.{name}.>"));
        let durable = format!("{service}_{name}");
        let consumer =
            ConsumerConfig { durable, filter_subjects, ack_wait: Duration::from_secs(30), max_ack_pending: 1000 };
        (name.to_owned(), consumer)
    };
    reactions.iter().map(consumer).collect()
}

fn recording(stream: &'static str) -> impl Iterator<Item = Recorded> {
    let recorded = RECORDING.lines().map(|line| serde_json::from_str::<Recorded>(line).unwrap());
    recorded.filter(move |recorded| recorded.stream == stream)
}
