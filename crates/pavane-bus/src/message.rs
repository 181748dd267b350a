use bytes::Bytes;
use pavane_contract::codec::Headers;

use crate::{PublishError, topology};

/// The header with the id by which a stream recognises a duplicate.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A message as it comes from the bus, not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject that it was published to.
    pub subject: String,
    /// Its headers, `Nats-Msg-Id` included.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its subject; a stream of the topology must capture it.
    pub subject: String,
    /// Its headers without `Nats-Msg-Id`.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
    /// `Nats-Msg-Id`: while the duplicate window lasts, a second publish with the same id is not stored. It thins out the
    /// relay's retries and is never relied on.
    pub message_id: String,
}

impl Outgoing {
    /// The stream that stores it. Refuses a message to which a server would never answer.
    pub(crate) fn stream(&self) -> Result<&'static str, PublishError> {
        if self.message_id.is_empty() {
            return Err(PublishError::Refused("its message id is empty".to_owned()));
        }
        let nobody = || PublishError::Refused(format!("no stream takes the subject {:?}", self.subject));
        topology::stream_of(&self.subject).ok_or_else(nobody)
    }

    /// Refuses headers that the protocol can't carry. A real client checks them itself.
    pub(crate) fn check_headers(&self) -> Result<(), PublishError> {
        for (name, value) in self.headers.iter().chain([(MESSAGE_ID, self.message_id.as_str())]) {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic() && c != ':') {
                return Err(PublishError::Refused(format!("the header name {name:?} is unusable")));
            }
            if value.contains(['\r', '\n']) {
                return Err(PublishError::Refused(format!(
                    "the value {value:?} of the header {name} has a line break"
                )));
            }
        }
        Ok(())
    }

    /// Bytes that count against the server's limits, without those of the message id.
    pub fn size(&self) -> u64 {
        size(&self.headers, &self.payload)
    }
}

impl Message {
    /// Bytes that count against the server's limits.
    pub(crate) fn size(&self) -> u64 {
        size(&self.headers, &self.payload)
    }
}

fn size(headers: &Headers, payload: &Bytes) -> u64 {
    /// Colon, space and line end.
    const HEADER_OVERHEAD: usize = 4;
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD).sum();
    u64::try_from(headers + payload.len()).unwrap_or(u64::MAX)
}
