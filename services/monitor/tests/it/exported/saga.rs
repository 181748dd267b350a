//! Saga 01a2029d-59c3-7945-8ab7-cb84f4a8c636 as shipping saw it.
//!
//! Put it into the tests of shipping as a module, beside `async fn stage()`, which returns the service on a stage of
//! `pavane-testkit` with what its tables had: `given(service()).await` where that was nothing.
//! Personal data is left out: it is `(personal)`, whatever its type. Where a type of its own refuses that, make something up.

use pavane_contract::codec;

use super::stage;

/// What shipping reacts to: headers and body, in the stream's order.
#[rustfmt::skip]
const SAW: [(&[(&str, &str)], &str); 2] = [
    (&[("ce-specversion", "1.0"), ("ce-id", "01a2029d-5ada-776b-b52c-3e2578854168"), ("ce-type", "inventory.reserved"), ("ce-source", "inventory"), ("ce-subject", "01a2029d-59c3-7945-8ab7-cb84f4a8c636"), ("ce-time", "2026-11-22T09:36:36.570184548Z"), ("ce-datacontenttype", "application/json"), ("ce-dataschema", "urn:pavane:inventory.reserved:1"), ("ce-eventversion", "1"), ("ce-correlationid", "01a2029d-59c3-7945-8ab7-cb84f4a8c636"), ("ce-sagatime", "2026-11-22T09:36:36.291Z"), ("ce-causationid", "01a2029d-5aa5-7451-a44b-7a7632c02cd8")], "{\"order_id\":\"01a2029d-59c3-7945-8ab7-cb84f4a8c636\",\"ship_to\":{\"city\":\"(personal)\",\"country\":\"FR\",\"name\":\"(personal)\",\"postal_code\":\"(personal)\",\"street\":\"(personal)\"}}"),
    (&[("ce-specversion", "1.0"), ("ce-id", "01a2029d-5c27-7f06-be46-1b2b0b1fd16b"), ("ce-type", "order.cancelled"), ("ce-source", "order"), ("ce-subject", "01a2029d-59c3-7945-8ab7-cb84f4a8c636"), ("ce-time", "2026-11-22T09:36:36.90392542Z"), ("ce-datacontenttype", "application/json"), ("ce-dataschema", "urn:pavane:order.cancelled:1"), ("ce-eventversion", "1"), ("ce-correlationid", "01a2029d-59c3-7945-8ab7-cb84f4a8c636"), ("ce-sagatime", "2026-11-22T09:36:36.291Z"), ("ce-causationid", "01a2029d-5bc5-780e-9e59-7ddb4603cd09")], "{\"email\":\"(personal)\",\"order_id\":\"01a2029d-59c3-7945-8ab7-cb84f4a8c636\",\"reason\":\"capture-failed\",\"total\":{\"currency\":\"EUR\",\"minor\":9900}}"),
];

/// What it answered, in the alphabet's order.
#[rustfmt::skip]
const SAID: [&str; 2] = ["shipping.cancelled", "shipping.created"];

#[tokio::test]
async fn saga_01a2029d_59c3_7945_8ab7_cb84f4a8c636() {
    let mut stage = stage().await;
    let mut said = Vec::new();
    for (headers, body) in SAW {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let event = codec::decode(&headers, body.into(), usize::MAX).unwrap();
        said.extend(stage.deliver(&event).await.emitted_names());
    }
    said.sort();
    assert_eq!(said, SAID);
}
