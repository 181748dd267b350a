use std::{sync::Arc, time::Duration};

use pavane_bus::jetstream::{Bucket, Entry};
use pavane_contract::Clock;
use serde::{Deserialize, Serialize};

use super::{Claim, DedupeStore, Error, Held, after};

/// Remembers in a NATS key-value bucket: for services that have no database.
///
/// Every change names the revision that it replaces, so of two claims one loses at the server. Whether a lease has ended is
/// decided by the process's clock: the clocks of all instances must agree to less than a lease.
#[derive(Debug)]
pub struct BucketStore {
    bucket: Bucket,
    clock: Arc<dyn Clock>,
}

/// The value of a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Stored {
    Held { token: String, until: i64 },
    Done { answer: String },
    Free,
}

impl BucketStore {
    /// Uses a bucket. What is done is remembered for the bucket's `max_age`.
    pub fn new(bucket: Bucket, clock: Arc<dyn Clock>) -> Self {
        Self { bucket, clock }
    }

    async fn read(&self, key: &str) -> Result<(u64, Stored), Error> {
        match self.bucket.get(key).await? {
            None => Ok((0, Stored::Free)),
            Some(Entry { revision, value, .. }) => {
                let stored = serde_json::from_slice(&value);
                Ok((revision, stored.map_err(|cause| Error::Claim { key: key.to_owned(), cause })?))
            }
        }
    }

    async fn write(&self, key: &str, revision: u64, stored: &Stored) -> Result<bool, Error> {
        let value = serde_json::to_vec(stored).map_err(|cause| Error::Claim { key: key.to_owned(), cause })?;
        Ok(self.bucket.put(key, revision, value.into()).await?.is_some())
    }

    /// Replaces a claim that is still ours.
    async fn replace(&self, held: Held, with: Stored) -> Result<(), Error> {
        let (revision, stored) = self.read(&held.key).await?;
        let ours = matches!(&stored, Stored::Held { token, .. } if *token == held.token);
        if ours && self.write(&held.key, revision, &with).await? { Ok(()) } else { Err(Error::Lost(held.key)) }
    }
}

impl DedupeStore for BucketStore {
    async fn claim(&self, key: &str, lease: Duration) -> Result<Claim, Error> {
        let held = Held::new(key, &*self.clock);
        let fresh = Stored::Held { token: held.token.clone(), until: after(&*self.clock, lease) };
        // A new key is the common case: one round trip.
        if self.write(key, 0, &fresh).await? {
            return Ok(Claim::Held(held));
        }
        let (revision, stored) = self.read(key).await?;
        match stored {
            Stored::Done { answer } => Ok(Claim::Done(answer)),
            Stored::Held { until, .. } if until > self.clock.now().as_microsecond() => {
                Ok(Claim::Busy { left: super::until(&*self.clock, until) })
            }
            Stored::Held { .. } | Stored::Free => {
                let taken = self.write(key, revision, &fresh).await?;
                // Another instance was faster. Its lease may be as long as this one.
                Ok(if taken { Claim::Held(held) } else { Claim::Busy { left: Duration::ZERO } })
            }
        }
    }

    async fn confirm(&self, held: Held, answer: String) -> Result<(), Error> {
        self.replace(held, Stored::Done { answer }).await
    }

    async fn release(&self, held: Held) -> Result<(), Error> {
        match self.replace(held, Stored::Free).await {
            // Another instance has it: there is nothing to release.
            Err(Error::Lost(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
