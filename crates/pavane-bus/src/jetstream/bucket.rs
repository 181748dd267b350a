use std::{fmt, time::Duration};

use async_nats::jetstream::{
    context::PublishErrorKind,
    message::PublishMessage,
    stream::{self, DiscardPolicy, LastRawMessageErrorKind, StorageType},
};
use bytes::Bytes;
use pavane_contract::{Key, subject};

use super::JetStream;
use crate::Error;

/// A key-value bucket: a stream that keeps one value a key, changed only where its revision is the expected one.
///
/// Made for claims: what matters is that of two writers one loses, on every server since 2.10.
#[derive(Clone)]
pub struct Bucket {
    bus: JetStream,
    name: String,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The revision to expect when the value is changed.
    pub revision: u64,
    /// The value.
    pub value: Bytes,
}

impl Bucket {
    /// Opens a bucket whose values are forgotten `max_age` after they were written last, creating it when it doesn't exist.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable or permissions forbid it.
    pub async fn open(bus: JetStream, name: &str, max_age: Duration) -> Result<Self, Error> {
        let config = stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            max_age,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            // Conditional writes decide here, not message ids.
            duplicate_window: max_age.min(Duration::from_mins(2)),
            ..stream::Config::default()
        };
        bus.inner.context.create_or_update_stream(config).await.map_err(|error| Error::Other(error.to_string()))?;
        Ok(Self { bus, name: name.to_owned() })
    }

    /// Reads a key from the stream's leader.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let name = format!("KV_{}", self.name);
        let stream = self.bus.inner.context.get_stream_no_info(name).await;
        let stream = stream.map_err(|error| Error::Other(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(&self.subject(key)).await {
            Ok(message) => Ok(Some(Entry { revision: message.sequence, value: message.payload })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// Writes a key if its revision is still `expected`, 0 for a key that has none. Returns the new revision, or `None` when
    /// somebody else was faster.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable. Whether the value was written is then unknown: read it.
    pub async fn put(&self, key: &str, expected: u64, value: Bytes) -> Result<Option<u64>, Error> {
        let message = PublishMessage::build().payload(value).expected_last_subject_sequence(expected);
        let sent = self.bus.inner.context.send_publish(self.subject(key), message).await;
        let result = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match result {
            Ok(acknowledgement) => Ok(Some(acknowledgement.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{}", self.name, subject::encode(&Key::from(key)))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}
