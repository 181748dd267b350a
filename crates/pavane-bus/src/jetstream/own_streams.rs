//! The streams beside the events': the services' declarations, and what operators did.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::PublishErrorKind,
    stream::{Config, DiscardPolicy, Info, StorageType},
};
use bytes::Bytes;
use tokio::time::sleep;

use super::{Inner, JetStream, provision::explain};
use crate::{
    Error, Topology,
    topology::{AUDIT, AUDIT_SUBJECTS, DECLARATIONS, DECLARATIONS_STREAM, EVENTS},
};

/// The size limit of each, in bytes, where the account requires limits.
const SMALL: i64 = 64 << 20;
/// Pauses until another server, above all a leaf node, knows of a new stream.
const HEARD_OF: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(500), Duration::ZERO];
/// How long a record of what an operator did is kept.
const AUDIT_MAX_AGE: Duration = Duration::from_hours(365 * 24);
/// Versions of a service's declaration that are kept, to show what a deployment changed.
const DECLARATIONS_HISTORY: i64 = 5;

impl JetStream {
    /// Creates the stream of what operators did, if it doesn't exist: with as many replicas as the events' stream, and with a
    /// size limit if that one has one. For tools; services never need it.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn provision_audit(&self) -> Result<(), Error> {
        if self.stream_report(AUDIT).await?.is_some() {
            return Ok(());
        }
        let events = self.stream_report(EVENTS).await?;
        let names = &self.inner.names;
        self.inner
            .create(&Config {
                name: names.stream(AUDIT).into_owned(),
                subjects: names.subjects(&AUDIT_SUBJECTS),
                max_age: AUDIT_MAX_AGE,
                max_bytes: small(events.as_ref().is_some_and(|events| events.max_bytes.is_some())),
                storage: StorageType::File,
                discard: DiscardPolicy::New,
                num_replicas: events.map_or(1, |events| events.replicas),
                allow_direct: true,
                ..Config::default()
            })
            .await
    }

    /// Creates the bucket of the services' declarations, if it doesn't exist. For tools; a service creates it by itself.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn provision_declarations(&self, topology: &Topology) -> Result<(), Error> {
        self.inner.create(&self.inner.declarations(topology)).await
    }
}

impl Inner {
    /// Puts a service's declaration into the bucket, and creates the bucket when it doesn't exist.
    pub(super) async fn declare(&self, topology: &Topology, service: &str, declaration: Bytes) -> Result<(), Error> {
        let subject = self.key_subject(&format!("$KV.{DECLARATIONS}.{service}"));
        // Behind a domain, only a time-out tells a missing bucket from one that doesn't answer.
        if (self.verify_only || !self.is_elsewhere()) && self.put(&subject, declaration.clone()).await? {
            return Ok(());
        }
        self.create(&self.declarations(topology)).await?;
        for pause in HEARD_OF {
            if self.put(&subject, declaration.clone()).await? {
                return Ok(());
            }
            sleep(pause).await;
        }
        Err(Error::Unavailable(format!("nobody stores {subject}")))
    }

    fn declarations(&self, topology: &Topology) -> Config {
        Config {
            name: self.names.stream(DECLARATIONS_STREAM).into_owned(),
            subjects: vec![self.names.subject(&format!("$KV.{DECLARATIONS}.>")).into_owned()],
            max_messages_per_subject: DECLARATIONS_HISTORY,
            max_bytes: small(topology.max_bytes.is_some()),
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            num_replicas: topology.replicas,
            // The settings of a key-value bucket, so that every client can read it as one.
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// Stores a message. `false` when there is no stream for it.
    async fn put(&self, subject: &str, payload: Bytes) -> Result<bool, Error> {
        let (since, concerned) = (self.link.mark(), [subject]);
        let sent = async {
            match self.context.publish(subject.to_owned(), payload).await {
                Ok(stored) => stored.await,
                Err(error) => Err(error),
            }
        };
        let error = tokio::select! {
            biased;
            stored = sent => match stored {
                Ok(_) => return Ok(true),
                Err(error) => error,
            },
            trouble = self.link.troubled(since, &concerned) => return Err(trouble.into()),
        };
        if error.kind() == PublishErrorKind::StreamNotFound {
            return Ok(false);
        }
        Err(Error::Unavailable(format!("{subject} was not stored: {error}")))
    }

    /// Creates a stream. An existing one of that name stays as it is.
    async fn create(&self, config: &Config) -> Result<(), Error> {
        if self.verify_only {
            let what = format!("the stream {}", config.name);
            return Err(Error::Missing { what, command: "pavane provision".to_owned() });
        }
        match self.api::<Info>(&format!("STREAM.CREATE.{}", config.name), config).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
            Err(failure) => Err(explain(&config.name, failure)),
        }
    }
}

/// A size limit if the events' stream has one.
const fn small(limited: bool) -> i64 {
    if limited { SMALL } else { -1 }
}
