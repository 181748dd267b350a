//! Events as they arrive, in binary and in structured mode.

use bytes::Bytes;
use pavane_contract::{RawEnvelope, codec};
use proptest::prelude::*;
use serde_json::Value;

use super::{Tried, fuzz, message};

const LIMIT: usize = 4096;

#[test]
fn events_in_binary_mode() {
    fuzz("binary", read);
}

#[test]
fn events_in_structured_mode() {
    fuzz("structured", |input| {
        read(&[b"content-type: application/cloudevents+json\n\n", input].concat())?;
        // As it is stored.
        let Ok(event) = codec::from_json(input) else { return Ok(()) };
        written_again(&event)?;
        // Numbers and depths are limited here, but not there.
        let Ok(json) = serde_json::from_slice::<Value>(input) else { return Ok(()) };
        for (attribute, read) in attributes(&event) {
            prop_assert_eq!(json[attribute].as_str(), Some(read));
        }
        prop_assert_eq!(Some(json["data"].clone()), serde_json::from_slice(&event.body).ok());
        Ok(())
    });
}

fn read(input: &[u8]) -> Tried {
    let (headers, payload) = message(input);
    match codec::decode(&headers, payload.into(), LIMIT) {
        Ok(event) => {
            for (attribute, read) in attributes(&event) {
                let sent = headers.get(&format!("ce-{attribute}")).filter(|sent| !sent.contains('%'));
                prop_assert!(sent.is_none_or(|sent| sent == read), "{attribute}: {read:?}");
            }
            written_again(&event)
        }
        Err(error) => says_what_is_wrong(&error, &headers),
    }
}

/// What was sent as text, and must be read as it was.
fn attributes(event: &RawEnvelope) -> [(&'static str, &str); 3] {
    [("type", &event.meta.event.name), ("source", &event.meta.source), ("subject", event.meta.key.as_str())]
}

/// Reading what is written of it gives the same event, in both modes.
fn written_again(event: &RawEnvelope) -> Tried {
    let headers = codec::encode(event);
    for (name, value) in headers.iter() {
        let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        prop_assert!(printable || name.starts_with("trace"), "{name} can't be sent: {value:?}");
    }
    let again = codec::decode(&headers, event.body.clone(), usize::MAX);
    prop_assert_eq!(&again.map_err(|error| TestCaseError::fail(error.to_string()))?, event);
    let Ok(json) = codec::to_json(event) else {
        let is_json = serde_json::from_slice::<Box<serde_json::value::RawValue>>(&event.body).is_ok();
        prop_assert!(!is_json, "its body is JSON, and yet it has no structured form");
        return Ok(());
    };
    let again = codec::from_json(json.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&again.meta, &event.meta);
    prop_assert_eq!(again.body.trim_ascii(), event.body.trim_ascii());
    Ok(())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the others are not of reading, nor is what will be added until it is here"
)]
fn says_what_is_wrong(error: &codec::Error, headers: &codec::Headers) -> Tried {
    let said = error.to_string();
    match error {
        codec::Error::MissingHeader(name) => {
            prop_assert!(headers.get(name).is_none() && said.contains(name), "{said}");
        }
        codec::Error::BadHeader { name, value, why } => {
            let is_own = headers.get(name).is_none_or(|own| own == value);
            prop_assert!(is_own && !why.is_empty() && said.contains(name), "{said}");
        }
        codec::Error::TooLarge { size, limit } => prop_assert!(size > limit, "{said}"),
        // A place in the JSON.
        codec::Error::Body(_) => prop_assert!(said.contains("line ") && said.contains("column "), "{said}"),
        other => prop_assert!(false, "not of reading: {other}"),
    }
    Ok(())
}

/// Many handlers read a body as this.
#[test]
fn bodies_that_are_no_json_have_no_structured_form() {
    let (headers, _) = message(&super::corpus("binary")[0]);
    let event = codec::decode(&headers, Bytes::from_static(b"{\"a\":"), LIMIT).unwrap();
    assert!(matches!(codec::to_json(&event), Err(codec::Error::Body(_))));
    assert!(serde_json::from_str::<Value>("{\"a\":").is_err());
}
