use proptest::prelude::*;

use super::*;
use crate::{Clock as _, EventId, SagaId, SystemClock};

fn envelope(key: &str, source: &str) -> RawEnvelope {
    let cause = Cause {
        started: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
        saga: SagaId::new(&SystemClock),
        event: Some(EventId::new(&SystemClock)),
        trace: Some(TraceContext {
            parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            state: None,
        }),
        item: Item::new(2, 3),
    };
    let meta = Meta {
        id: EventId::new(&SystemClock),
        event: EventRef { name: "payment.authorized".into(), version: 1 },
        key: key.into(),
        source: source.into(),
        time: SystemClock.now(),
        cause,
    };
    Envelope { meta: meta.into(), body: Bytes::from_static(br#"{"amount":5}"#) }
}

const LIMIT: usize = 1 << 20;

proptest! {
    #[test]
    fn binary_mode_gives_back_what_it_was_given(key in ".*", source in ".+") {
        let sent = envelope(&key, &source);
        let headers = encode(&sent);
        for (name, value) in headers.iter() {
            prop_assert!(value.bytes().all(|b| (0x21..=0x7e).contains(&b)) || value.is_empty(), "{name}: {value:?}");
        }
        prop_assert_eq!(decode(&headers, sent.body.clone(), LIMIT).unwrap(), sent);
    }

    #[test]
    fn structured_mode_gives_back_what_it_was_given(key in ".*", source in ".*") {
        let sent = envelope(&key, &source);
        prop_assert_eq!(from_json(to_json(&sent).unwrap().as_bytes()).unwrap(), sent);
    }

    #[test]
    fn no_header_or_payload_makes_it_panic(
        headers in prop::collection::vec(("(?i)ce-[a-z]{2,15}|content-type", ".*"), 0..12),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let headers: Headers = headers.into_iter().collect();
        if let Ok(event) = decode(&headers, payload.into(), LIMIT) {
            prop_assert_eq!(decode(&encode(&event), event.body.clone(), LIMIT).unwrap(), event);
        }
    }
}

#[test]
fn structured_mode_is_recognised_by_its_content_type() {
    let sent = envelope("k", "payment");
    let headers =
        [(header::CONTENT_TYPE, "application/cloudevents+json; charset=utf-8".to_owned())].into_iter().collect();
    assert_eq!(decode(&headers, to_json(&sent).unwrap().into(), LIMIT).unwrap(), sent);
}

#[test]
fn each_required_header_is_missed_by_name() {
    let sent = envelope("k", "payment");
    let all = encode(&sent);
    for name in [
        header::SPEC_VERSION,
        header::ID,
        header::TYPE,
        header::SOURCE,
        header::SUBJECT,
        header::TIME,
        header::EVENT_VERSION,
        header::CORRELATION_ID,
    ] {
        let headers: Headers =
            all.iter().filter(|(n, _)| *n != name).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        match decode(&headers, sent.body.clone(), LIMIT) {
            Err(Error::MissingHeader(missing)) => assert_eq!(missing, name),
            other => panic!("without {name}: {other:?}"),
        }
    }
}

#[test]
fn what_can_not_be_used_is_a_typed_error() {
    let sent = envelope("k", "payment");
    let with = |name: &'static str, value: &str| -> Headers {
        encode(&sent)
            .iter()
            .map(|(n, v)| (n.to_owned(), if n == name { value.to_owned() } else { v.to_owned() }))
            .collect()
    };
    for (name, value) in [
        (header::SPEC_VERSION, "0.3"),
        (header::ID, "7"),
        (header::TIME, "yesterday"),
        (header::EVENT_VERSION, "-1"),
        (header::CORRELATION_ID, ""),
        (header::CAUSATION_ID, "x"),
        (header::SAGA_TIME, "long ago"),
        (header::DATA_CONTENT_TYPE, "text/xml"),
        (header::SUBJECT, "%FF"),
    ] {
        match decode(&with(name, value), sent.body.clone(), LIMIT) {
            Err(Error::BadHeader { name: bad, .. }) => assert_eq!(bad, name),
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    assert!(matches!(decode(&encode(&sent), sent.body.clone(), 3), Err(Error::TooLarge { size: 12, limit: 3 })));
}

/// Of a foreign client that knows nothing of sagas' ages.
#[test]
fn without_a_time_of_the_saga_its_id_tells_or_the_event_does() {
    let mut meta = Meta::clone(&envelope("k", "payment").meta);
    for (saga, wanted) in [
        ("019ca3f8-5c00-7000-8000-000000000001", "2026-02-28T11:18:08.64Z"),
        ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "2026-03-04T05:06:07Z"),
    ] {
        (meta.cause.saga, meta.time) = (saga.parse().unwrap(), "2026-03-04T05:06:07Z".parse().unwrap());
        let sent = Envelope { meta: meta.clone().into(), body: Bytes::from_static(b"{}") };
        let headers: Headers = encode(&sent)
            .iter()
            .filter(|(name, _)| *name != header::SAGA_TIME)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut json: serde_json::Value = serde_json::from_str(&to_json(&sent).unwrap()).unwrap();
        assert!(json.as_object_mut().unwrap().remove("sagatime").is_some());
        for read in [decode(&headers, sent.body.clone(), LIMIT), from_json(json.to_string().as_bytes())] {
            assert_eq!(read.unwrap().meta.cause.started, wanted.parse().unwrap(), "{saga}");
        }
    }
}

#[test]
fn headers_compare_without_case() {
    let sent = envelope("k", "payment");
    let shouted: Headers = encode(&sent).iter().map(|(n, v)| (n.to_uppercase(), v.to_owned())).collect();
    assert_eq!(decode(&shouted, sent.body.clone(), LIMIT).unwrap(), sent);
}
