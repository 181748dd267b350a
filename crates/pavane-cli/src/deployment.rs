//! The deployment that is asked: its NATS server, and what can be read there.

use std::time::Duration;

use anyhow::{Context, bail};
use pavane_bus::{
    JetStream,
    jetstream::Start,
    topology::{DECLARATIONS, DECLARATIONS_STREAM, EVENTS},
};
use pavane_contract::{Key, SagaId};
use pavane_observe::{Feed, Limits, Update, View};

use crate::connection::Connection;

/// Names our connection at the server, and the inbox `_INBOX_pavane` that its answers come on.
const NAME: &str = "pavane";
/// Declarations in one batch.
const BATCH_MAX: usize = 256;

/// A connection to a deployment.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) bus: JetStream,
}

impl Deployment {
    /// Connects, or says what is in the way.
    pub(crate) async fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let mut config = connection.config(NAME)?;
        config.connect_within = Duration::from_secs(connection.patience);
        config.request_timeout = Duration::from_secs(connection.patience.max(1));
        Ok(Self { bus: JetStream::connect(config).await? })
    }

    /// What the services declare, and nothing of what happened.
    pub(crate) async fn declared(&self) -> anyhow::Result<View> {
        let mut view = View::new(Limits::default());
        view.apply(declarations(&self.bus).await?);
        if view.declarations().next().is_none() {
            bail!("no service has a declaration: the bucket {DECLARATIONS} is empty; services fill it when they start");
        }
        Ok(view)
    }

    /// Everything that is in the streams, as of now.
    pub(crate) async fn view(&self) -> anyhow::Result<View> {
        self.load(Feed::new(self.bus.clone())).await
    }

    /// What the streams have about one key, which is quick however much they have.
    pub(crate) async fn about(&self, key: &Key) -> anyhow::Result<View> {
        self.load(Feed::about(self.bus.clone(), key)).await
    }

    async fn load(&self, mut feed: Feed) -> anyhow::Result<View> {
        if self.bus.stream_report(EVENTS).await?.is_none() {
            bail!("there is no stream {}; services create it when they start", self.bus.name_of(EVENTS));
        }
        let mut view = View::new(Limits::default());
        feed.load_into(|updates| view.apply(updates)).await.context("failed to read the streams")?;
        Ok(view)
    }
}

/// The saga that somebody names who is going to decide about it.
pub(crate) fn only_saga(view: &View, what: &str) -> anyhow::Result<SagaId> {
    match view.find(what).as_slice() {
        [saga] => Ok(*saga),
        [] => bail!("no saga has the key or the id {what:?}, and no event that the stream still has"),
        sagas => {
            let ids: Vec<String> = sagas.iter().map(ToString::to_string).collect();
            bail!("{what:?} could be any of these sagas; name one: {}", ids.join(", "));
        }
    }
}

/// Reads what the services declare; nothing when there is no bucket yet.
pub(crate) async fn declarations(bus: &JetStream) -> Result<Vec<Update>, pavane_bus::Error> {
    let mut updates = Vec::new();
    if bus.stream_report(DECLARATIONS_STREAM).await?.is_some() {
        let mut reader = bus.read(DECLARATIONS_STREAM, &[], Start::First).await?;
        while reader.remaining() > 0 {
            updates.extend(reader.next(BATCH_MAX).await?.iter().filter_map(pavane_observe::declaration));
        }
    }
    Ok(updates)
}
