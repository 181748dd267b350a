use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Error, SPEC_VERSION, data_schema, is_json};
use crate::{Cause, Envelope, EventId, EventRef, Item, Key, Meta, RawEnvelope, SagaId, TraceContext};

/// The `CloudEvents` JSON format: structured mode's, and ours where one text must hold an event.
#[derive(Serialize, Deserialize)]
struct Json<'a> {
    specversion: String,
    id: EventId,
    #[serde(rename = "type")]
    name: String,
    source: String,
    subject: Key,
    time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    eventversion: EventVersion,
    correlationid: SagaId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sagatime: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    itemcount: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// `CloudEvents` attributes have no unsigned type of 16 bits: some libraries send a number, others a string.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum EventVersion {
    Number(u16),
    Text(String),
}

/// Writes an event as one `CloudEvents` JSON object.
///
/// # Errors
///
/// When the body isn't JSON.
pub fn to_json(envelope: &RawEnvelope) -> Result<String, Error> {
    let Meta { id, event, key, source, time, cause } = &*envelope.meta;
    let json = Json {
        specversion: SPEC_VERSION.to_owned(),
        id: *id,
        name: event.name.clone(),
        source: source.clone(),
        subject: key.clone(),
        time: *time,
        datacontenttype: Some("application/json".to_owned()),
        dataschema: Some(data_schema(event)),
        eventversion: EventVersion::Number(event.version),
        correlationid: cause.saga,
        sagatime: Some(cause.started),
        causationid: cause.event,
        item: cause.item.map(Item::number),
        itemcount: cause.item.map(Item::count),
        traceparent: cause.trace.as_ref().map(|trace| trace.parent.clone()),
        tracestate: cause.trace.as_ref().and_then(|trace| trace.state.clone()),
        data: serde_json::from_slice(&envelope.body)?,
    };
    Ok(serde_json::to_string(&json)?)
}

/// Reads an event from one `CloudEvents` JSON object.
///
/// # Errors
///
/// When it isn't JSON, lacks an attribute, or has one that can't be used.
pub fn from_json(json: &[u8]) -> Result<RawEnvelope, Error> {
    let json: Json<'_> = serde_json::from_slice(json)?;
    if json.specversion != SPEC_VERSION {
        return Err(super::bad("specversion", &json.specversion, "only 1.0 is understood"));
    }
    if let Some(kind) = json.datacontenttype.filter(|kind| !is_json(kind)) {
        return Err(super::bad("datacontenttype", &kind, "only application/json is understood"));
    }
    let version = match json.eventversion {
        EventVersion::Number(version) => version,
        EventVersion::Text(text) => text.parse().map_err(|error| super::bad("eventversion", &text, error))?,
    };
    let trace = json.traceparent.map(|parent| TraceContext { parent, state: json.tracestate });
    let meta = Meta {
        id: json.id,
        event: EventRef { name: json.name, version },
        key: json.subject,
        source: json.source,
        time: json.time,
        cause: Cause {
            started: json.sagatime.unwrap_or(Cause::new(json.correlationid, json.time).started),
            saga: json.correlationid,
            event: json.causationid,
            trace,
            item: super::item(json.item, json.itemcount)?,
        },
    };
    Ok(Envelope { meta: meta.into(), body: Bytes::copy_from_slice(json.data.get().as_bytes()) })
}
