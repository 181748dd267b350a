mod consumers;
mod domain;
mod namespace;
mod observing;
mod outages;
mod permissions;
mod reading;
mod secured;
mod streams;
mod verifying;
mod volume;

use std::{ops::Range, time::Duration};

use pavane_bus::{
    Bus, ConsumerConfig, Delivery, JetStream, Outgoing, Subscription, Topology, conformance::World, jetstream::Config,
};
use pavane_contract::codec::Headers;
use pavane_testkit::servers::{Nats, NatsOptions, Tools};

/// Longest wait for what must happen.
const SOON: Duration = Duration::from_secs(20);

struct RealServer(Nats);

impl World for RealServer {
    type Bus = JetStream;

    async fn connect(&self) -> JetStream {
        JetStream::connect(Config::new(self.0.url(), "test")).await.unwrap()
    }
}

async fn start() -> RealServer {
    RealServer(Nats::start(&Tools::from_env()).await.unwrap())
}

mod conformance {
    pavane_bus::conformance_tests!(super::super::start);
}

async fn start_with(config: &str) -> RealServer {
    let options = NatsOptions { config: config.to_owned(), ..NatsOptions::default() };
    RealServer(Nats::start_with(&Tools::from_env(), options).await.unwrap())
}

impl RealServer {
    fn config(&self) -> Config {
        Config::new(self.0.url(), "test")
    }

    /// The streams are there, and a connection.
    async fn provisioned(&self) -> JetStream {
        let bus = self.connect().await;
        bus.provision(&Topology::default()).await.unwrap();
        bus
    }

    /// A client that knows nothing of ours.
    async fn raw(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.0.url()).await.unwrap())
    }
}

fn consumer(ack_wait: Duration) -> ConsumerConfig {
    ConsumerConfig {
        durable: "worker".to_owned(),
        filter_subjects: vec!["events.order.>".to_owned()],
        ack_wait,
        max_ack_pending: 1_000,
    }
}

fn message(number: usize) -> Outgoing {
    Outgoing {
        subject: format!("events.order.placed.{number}"),
        headers: Headers::default(),
        payload: number.to_string().into(),
        message_id: format!("id-{number}"),
    }
}

fn messages(numbers: Range<usize>) -> Vec<Outgoing> {
    numbers.map(message).collect()
}

fn number(delivery: &Delivery) -> usize {
    std::str::from_utf8(&delivery.message.payload).unwrap().parse().unwrap()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen within {SOON:?}"))
}

async fn receive_one(subscription: &mut impl Subscription) -> Delivery {
    soon("a delivery", subscription.receive(1)).await.unwrap().pop().unwrap()
}
