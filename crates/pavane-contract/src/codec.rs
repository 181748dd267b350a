//! `CloudEvents` 1.0 over NATS: binary mode by default, structured mode read too.
//!
//! Binary mode puts the attributes into `ce-` headers, percent-encoded as in the HTTP binding, and the JSON body into the
//! payload. Structured mode is one JSON object. An event in any language with these headers is handled like one of ours. See
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md> and
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values>.

mod headers;
mod misfit;
mod structured;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, percent_decode_str, utf8_percent_encode};

pub use headers::Headers;
pub use misfit::Misfit;
pub use structured::{from_json, to_json};

use crate::{Cause, Envelope, EventRef, Item, Key, Meta, RawEnvelope, TraceContext};

/// `CloudEvents` version that we write and accept.
pub const SPEC_VERSION: &str = "1.0";

/// The header names, in one place: they are wire format.
pub mod header {
    use std::borrow::Cow;

    /// Version of the `CloudEvents` specification.
    pub const SPEC_VERSION: &str = "ce-specversion";
    /// The event's id.
    pub const ID: &str = "ce-id";
    /// The event's name.
    pub const TYPE: &str = "ce-type";
    /// The service that emitted it.
    pub const SOURCE: &str = "ce-source";
    /// The key.
    pub const SUBJECT: &str = "ce-subject";
    /// When it was emitted, RFC 3339.
    pub const TIME: &str = "ce-time";
    /// Always `application/json`.
    pub const DATA_CONTENT_TYPE: &str = "ce-datacontenttype";
    /// Names the schema of the body.
    pub const DATA_SCHEMA: &str = "ce-dataschema";
    /// Extension: the saga.
    pub const CORRELATION_ID: &str = "ce-correlationid";
    /// Extension: when the saga started, RFC 3339. Where it is missing, the time in the saga's id counts, or else the event's
    /// time.
    pub const SAGA_TIME: &str = "ce-sagatime";
    /// Extension: the event that led to this one.
    pub const CAUSATION_ID: &str = "ce-causationid";
    /// Extension: the version of the event's contract.
    pub const EVENT_VERSION: &str = "ce-eventversion";
    /// Extension: which of the saga's items it is about, a number from 1. Only together with [`ITEM_COUNT`].
    pub const ITEM: &str = "ce-item";
    /// Extension: how many items there are.
    pub const ITEM_COUNT: &str = "ce-itemcount";
    /// W3C trace context.
    pub const TRACE_PARENT: &str = "traceparent";
    /// W3C trace context.
    pub const TRACE_STATE: &str = "tracestate";
    /// Tells structured mode from binary mode.
    pub const CONTENT_TYPE: &str = "content-type";

    /// How many headers an event usually has.
    pub(super) const USUAL: usize = 15;
    /// How many bytes the values of its headers usually have.
    pub(super) const USUAL_BYTES: usize = 416;

    /// All of them.
    pub const ALL: [&str; 17] = [
        SPEC_VERSION,
        ID,
        TYPE,
        SOURCE,
        SUBJECT,
        TIME,
        DATA_CONTENT_TYPE,
        DATA_SCHEMA,
        EVENT_VERSION,
        CORRELATION_ID,
        SAGA_TIME,
        CAUSATION_ID,
        ITEM,
        ITEM_COUNT,
        TRACE_PARENT,
        TRACE_STATE,
        CONTENT_TYPE,
    ];

    /// A name to be stored: the usual ones need no allocation.
    pub fn name(name: &str) -> Cow<'static, str> {
        let known = ALL.into_iter().find(|known| *known == name);
        known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
    }
}

/// Why an event can't be encoded or decoded. Each reads after "failed to decode the event: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A required header is missing.
    #[error("header {0} is missing")]
    MissingHeader(&'static str),
    /// A header's value is invalid.
    #[error("header {name} has the unusable value {value:?}: {why}")]
    BadHeader {
        /// Which header.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The payload is longer than the receiver accepts.
    #[error("the payload has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Length of the payload in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The body isn't JSON, or not JSON of the event's type.
    #[error("the body does not fit the contract: {0}")]
    Body(Misfit),
    /// The event is another one than the reaction handles, or another version of it.
    #[error("expected {wanted}, found {found}")]
    OtherEvent {
        /// What the reaction handles.
        wanted: EventRef,
        /// What arrived.
        found: EventRef,
    },
    /// The event is about no item of the saga, and what runs on it is about one.
    #[error(
        "{0} is about no item, as the header ce-item is missing: emit it in a list, with emit_each, or let no reaction take it as Each or Every"
    )]
    NoItem(EventRef),
    /// The event's subject isn't its own: a publisher of that subject may not publish this event.
    #[error(
        "it came on {subject:?} and says that it is {event} about {:?}, which belongs on {:?}: an event counts only where \
         subject, type and key agree",
        key.as_str(),
        crate::subject::of(event, key)
    )]
    Elsewhere {
        /// The subject that it arrived on.
        subject: String,
        /// The event that its headers name.
        event: EventRef,
        /// The key that its headers name.
        key: Key,
    },
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Self::Body(misfit)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Body(error.into())
    }
}

/// What the HTTP binding escapes in a header value: everything but printable ASCII without space, `"` and `%`.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Writes the binary-mode headers of an event. The payload is its body.
pub fn encode<T>(envelope: &Envelope<T>) -> Headers {
    let Meta { id, event, key, source, time, cause } = &*envelope.meta;
    let mut headers = Headers::with_capacity(header::USUAL, header::USUAL_BYTES);
    headers.push_str(header::SPEC_VERSION, SPEC_VERSION);
    headers.push(header::ID, id);
    headers.push(header::TYPE, escape(&event.name));
    headers.push(header::SOURCE, escape(source));
    headers.push(header::SUBJECT, escape(key.as_str()));
    headers.push(header::TIME, time);
    headers.push_str(header::DATA_CONTENT_TYPE, "application/json");
    headers.push(header::DATA_SCHEMA, escape(&data_schema(event)));
    headers.push(header::EVENT_VERSION, event.version);
    headers.push(header::CORRELATION_ID, cause.saga);
    headers.push(header::SAGA_TIME, cause.started);
    if let Some(event) = cause.event {
        headers.push(header::CAUSATION_ID, event);
    }
    if let Some(item) = cause.item {
        headers.push(header::ITEM, item.number());
        headers.push(header::ITEM_COUNT, item.count());
    }
    if let Some(trace) = &cause.trace {
        headers.push_str(header::TRACE_PARENT, &trace.parent);
        if let Some(state) = &trace.state {
            headers.push_str(header::TRACE_STATE, state);
        }
    }
    headers
}

/// Reads an event from headers and payload, in binary or structured mode. The body is only decoded by
/// [`RawEnvelope::decode`].
///
/// # Errors
///
/// When the payload is longer than `limit` bytes, a header is missing or unusable, or, in structured mode, the payload
/// isn't a `CloudEvents` JSON object.
pub fn decode(headers: &Headers, payload: Bytes, limit: usize) -> Result<RawEnvelope, Error> {
    if payload.len() > limit {
        return Err(Error::TooLarge { size: payload.len(), limit });
    }
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/cloudevents+json")) {
        return from_json(&payload);
    }
    let spec_version = required(headers, header::SPEC_VERSION)?;
    if spec_version != SPEC_VERSION {
        return Err(bad(header::SPEC_VERSION, spec_version, "only 1.0 is understood"));
    }
    if let Some(kind) = headers.get(header::DATA_CONTENT_TYPE)
        && !is_json(kind)
    {
        return Err(bad(header::DATA_CONTENT_TYPE, kind, "only application/json is understood"));
    }
    let name = text(headers, header::TYPE)?;
    let event = EventRef { name, version: parsed(headers, header::EVENT_VERSION)? };
    let (saga, time) = (parsed(headers, header::CORRELATION_ID)?, parsed(headers, header::TIME)?);
    let cause = Cause {
        started: optional(headers, header::SAGA_TIME)?.unwrap_or(Cause::new(saga, time).started),
        saga,
        event: optional(headers, header::CAUSATION_ID)?,
        trace: headers.get(header::TRACE_PARENT).map(|parent| TraceContext {
            parent: parent.to_owned(),
            state: headers.get(header::TRACE_STATE).map(str::to_owned),
        }),
        item: item(optional(headers, header::ITEM)?, optional(headers, header::ITEM_COUNT)?)?,
    };
    let meta = Meta {
        id: parsed(headers, header::ID)?,
        event,
        key: text(headers, header::SUBJECT)?.into(),
        source: text(headers, header::SOURCE)?,
        time,
        cause,
    };
    Ok(Envelope { meta: meta.into(), body: payload })
}

/// As [`decode`], for an event that arrived on `subject`. Only the owner may publish there, so the event must belong there.
///
/// # Errors
///
/// As [`decode`], and when subject, type and key don't agree.
pub fn decode_on(subject: &str, headers: &Headers, payload: Bytes, limit: usize) -> Result<RawEnvelope, Error> {
    let envelope = decode(headers, payload, limit)?;
    let Meta { event, key, .. } = &*envelope.meta;
    if crate::subject::is_of(subject, event, key) {
        return Ok(envelope);
    }
    Err(Error::Elsewhere { subject: subject.to_owned(), event: event.clone(), key: key.clone() })
}

/// The schema's name of one version of an event, as a URN.
pub fn data_schema(event: &EventRef) -> String {
    format!("urn:pavane:{}:{}", event.name, event.version)
}

/// The item of an event, from its number and how many there are.
fn item(number: Option<u32>, count: Option<u32>) -> Result<Option<Item>, Error> {
    let wrong = |value: String, why| bad(header::ITEM, &value, why);
    match (number, count) {
        (None, None) => Ok(None),
        (Some(number), Some(count)) => Item::new(number, count).map(Some).ok_or_else(|| {
            wrong(format!("{number} of {count}"), "items are numbered from 1 to their count, at most 1000")
        }),
        (Some(number), None) => {
            Err(wrong(number.to_string(), "ce-itemcount is missing: nothing says how many there are"))
        }
        (None, Some(count)) => {
            Err(bad(header::ITEM_COUNT, &count.to_string(), "ce-item is missing: nothing says which it is"))
        }
    }
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn escape(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, ESCAPED)
}

fn required<'h>(headers: &'h Headers, name: &'static str) -> Result<&'h str, Error> {
    headers.get(name).ok_or(Error::MissingHeader(name))
}

fn text(headers: &Headers, name: &'static str) -> Result<String, Error> {
    let value = required(headers, name)?;
    match percent_decode_str(value).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(error) => Err(bad(name, value, error)),
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(headers: &Headers, name: &'static str) -> Result<T, Error> {
    read(name, required(headers, name)?)
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    headers: &Headers,
    name: &'static str,
) -> Result<Option<T>, Error> {
    headers.get(name).map(|value| read(name, value)).transpose()
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &'static str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|error| bad(name, value, error))
}

fn bad(name: &'static str, value: &str, why: impl std::fmt::Display) -> Error {
    Error::BadHeader { name, value: value.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests;
