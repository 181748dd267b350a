//! The streams beside the events': what services declare about themselves, and what operators did.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::PublishErrorKind,
    stream::{Config, DiscardPolicy, Info, StorageType},
};
use bytes::Bytes;

use super::{Inner, JetStream};
use crate::{
    Error, Topology,
    topology::{AUDIT, AUDIT_SUBJECTS, DECLARATIONS, DECLARATIONS_STREAM},
};

/// How long it is remembered what an operator did.
const AUDIT_MAX_AGE: Duration = Duration::from_hours(365 * 24);
/// Versions of a service's declaration that are kept, to see what a deployment changed.
const DECLARATIONS_HISTORY: i64 = 5;

impl JetStream {
    /// Creates the stream of what operators did, if it doesn't exist. For tools; services never need it.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached or permissions forbid it.
    pub async fn provision_audit(&self, replicas: usize) -> Result<(), Error> {
        if self.stream_report(AUDIT).await?.is_some() {
            return Ok(());
        }
        self.inner
            .create(&Config {
                name: AUDIT.to_owned(),
                subjects: AUDIT_SUBJECTS.map(str::to_owned).to_vec(),
                max_age: AUDIT_MAX_AGE,
                storage: StorageType::File,
                discard: DiscardPolicy::New,
                num_replicas: replicas,
                allow_direct: true,
                ..Config::default()
            })
            .await
    }
}

impl Inner {
    /// Puts a service's declaration into the bucket, and creates the bucket when it doesn't exist.
    pub(super) async fn declare(&self, topology: &Topology, service: &str, declaration: Bytes) -> Result<(), Error> {
        let subject = format!("$KV.{DECLARATIONS}.{service}");
        if self.put(&subject, declaration.clone()).await? {
            return Ok(());
        }
        let bucket = Config {
            name: DECLARATIONS_STREAM.to_owned(),
            subjects: vec![format!("$KV.{DECLARATIONS}.>")],
            max_messages_per_subject: DECLARATIONS_HISTORY,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            num_replicas: topology.replicas,
            // What a key-value bucket has, so that every client can read it as one.
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        };
        self.create(&bucket).await?;
        if self.put(&subject, declaration).await? {
            return Ok(());
        }
        Err(Error::Unavailable(format!("nobody stores {subject}")))
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

    /// Creates a stream. One of that name that exists is left as it is.
    async fn create(&self, config: &Config) -> Result<(), Error> {
        match self.api::<Info>(&format!("STREAM.CREATE.{}", config.name), config).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }
}
