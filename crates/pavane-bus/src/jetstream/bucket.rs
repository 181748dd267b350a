use std::{fmt, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    context::PublishErrorKind,
    message::PublishMessage,
    stream::{self, DiscardPolicy, Info, LastRawMessageErrorKind, StorageType},
};
use bytes::Bytes;
use pavane_contract::{Key, subject};

use super::{
    Inner, JetStream,
    provision::{RACES_MAX, explain},
};
use crate::{Error, drift::Drift};

/// A key-value bucket: a stream that keeps one value for each key, changed only where its revision is the expected one.
///
/// Made for claims: of two writers one loses, on every server since 2.10.
#[derive(Clone)]
pub struct Bucket {
    bus: JetStream,
    name: String,
}

/// A value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The revision to expect when the value is changed.
    pub revision: u64,
    /// The value.
    pub value: Bytes,
}

impl Bucket {
    /// Opens a bucket that drops a value `max_age` after its last write, and creates it when it doesn't exist. An existing one
    /// keeps what an operator set, for example a size limit.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable or permissions forbid it, or when it has to be created or changed and nothing may be.
    pub async fn open(bus: JetStream, name: &str, max_age: Duration) -> Result<Self, Error> {
        let names = &bus.inner.names;
        let wanted = stream::Config {
            name: names.stream(&format!("KV_{name}")).into_owned(),
            subjects: vec![names.subject(&format!("$KV.{name}.>")).into_owned()],
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
        bus.inner.open_bucket(&wanted).await?;
        Ok(Self { bus, name: name.to_owned() })
    }

    /// Reads a key from the stream's leader.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let inner = &self.bus.inner;
        let name = inner.names.stream(&format!("KV_{}", self.name)).into_owned();
        let stream = inner.context.get_stream_no_info(name).await;
        let stream = stream.map_err(|error| Error::Other(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(&inner.names.subject(&self.subject(key))).await {
            Ok(message) => Ok(Some(Entry { revision: message.sequence, value: message.payload })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// Writes a key if its revision is still `expected`; 0 for a key that has none. Returns the new revision, or `None` when
    /// another writer was faster.
    ///
    /// # Errors
    ///
    /// When the bus is unavailable. Nobody knows then whether the value was written: read it.
    pub async fn put(&self, key: &str, expected: u64, value: Bytes) -> Result<Option<u64>, Error> {
        let message = PublishMessage::build().payload(value).expected_last_subject_sequence(expected);
        let sent = self.bus.inner.context.send_publish(self.bus.inner.key_subject(&self.subject(key)), message).await;
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

impl Inner {
    async fn open_bucket(&self, wanted: &stream::Config) -> Result<(), Error> {
        let name = &wanted.name;
        let ttl = wanted.max_age.as_secs();
        for _ in 0..RACES_MAX {
            match self.api::<Info>(&format!("STREAM.INFO.{name}"), &()).await {
                Ok(found) => {
                    let mut drift = Drift::default();
                    drift.free("max_age", &found.config.max_age, &wanted.max_age);
                    drift.fixed("storage", &found.config.storage, &wanted.storage, "use another bucket");
                    let what = format!("the stream {name}");
                    if self.verify_only {
                        return drift.verify(what, &format!("nats stream edit {name} --max-age {ttl}s"));
                    }
                    if drift.judge(what)? {
                        let config = stream::Config { max_age: wanted.max_age, ..found.config };
                        self.api::<Info>(&format!("STREAM.UPDATE.{name}"), &config).await?;
                    }
                    return Ok(());
                }
                Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {}
                Err(failure) => return Err(failure.into()),
            }
            if self.verify_only {
                let bucket = name.strip_prefix("KV_").unwrap_or(name);
                let command = format!("nats kv add {bucket} --history 1 --ttl {ttl}s --storage file");
                return Err(Error::Missing { what: format!("the bucket {bucket}"), command });
            }
            match self.api::<Info>(&format!("STREAM.CREATE.{name}"), wanted).await {
                Ok(_) => return Ok(()),
                // Another instance was faster; check what it created.
                Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {}
                Err(failure) => return Err(explain(name, failure)),
            }
        }
        Err(Error::Unavailable(format!("the bucket {name} is being created and deleted by others")))
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}
