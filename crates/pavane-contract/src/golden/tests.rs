use schemars::JsonSchema;

use super::*;

macro_rules! event {
    ($name:ident, $version:literal, $key:ident, { $($body:tt)* }) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = "payment.authorized", version = $version, key = $key)]
        struct $name { $($body)* }
    };
}

event!(First, 1, order, { order: String, cents: u32 });
event!(Grown, 1, order, { order: String, cents: u32, note: Option<String> });
event!(Shrunk, 1, order, { order: String });
event!(Raised, 2, order, { order: String });
event!(Rekeyed, 1, card, { order: String, cents: u32, #[serde(default = "visa")] card: String });
event!(Narrowed, 1, order, { order: String, #[serde(deserialize_with = "odd")] cents: u32 });
event!(Lossy, 1, order, { order: String, #[serde(skip)] cents: u32 });

fn visa() -> String {
    "visa".to_owned()
}

/// Refuses more than the schema tells.
fn odd<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let cents = u32::deserialize(deserializer)?;
    if cents % 2 == 0 { Err(serde::de::Error::custom("an odd amount is wanted")) } else { Ok(cents) }
}

fn order() -> String {
    "order 7".to_owned()
}

fn committed() -> String {
    check(&First { order: order(), cents: 300 }, None).unwrap()
}

fn breaking<E: Event + PartialEq>(example: &E) -> Vec<String> {
    match check(example, Some(&committed())) {
        Err(Error::Breaking { breaks, .. }) => breaks.iter().map(ToString::to_string).collect(),
        other => panic!("expected a breaking change, found {other:?}"),
    }
}

#[test]
fn a_new_event_gets_a_file() {
    assert_eq!(file_name::<First>(), "payment.authorized.v1.json");
    let file: Value = serde_json::from_str(&committed()).unwrap();
    assert_eq!(file["name"], "payment.authorized");
    assert_eq!(file["version"], 1);
    assert_eq!(file["subject"], "events.payment.authorized.order=207");
    assert_eq!(file["example"], serde_json::json!({ "order": "order 7", "cents": 300 }));
    assert_eq!(file["schema"], schema::of::<First>());
}

#[test]
fn an_unchanged_event_keeps_its_file_however_that_is_laid_out() {
    let file = committed().replace('\n', "\r\n");
    assert_eq!(check(&First { order: order(), cents: 300 }, Some(&file)).unwrap(), file);
}

#[test]
fn an_additive_change_renews_the_file() {
    let grown = Grown { order: order(), cents: 300, note: None };
    let file = check(&grown, Some(&committed())).unwrap();
    assert_ne!(file, committed());
    assert_eq!(check(&grown, Some(&file)).unwrap(), file);
    let other = First { order: order(), cents: 301 };
    assert_ne!(check(&other, Some(&committed())).unwrap(), committed(), "another example is no break");
}

#[test]
fn a_breaking_change_is_refused_and_named() {
    let error = check(&Shrunk { order: order() }, Some(&committed())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "payment.authorized v1 changed in a way that breaks its readers; revert it, or raise its version:\n  \
         an old reader can't read new events at $.cents: the reader requires a field that is not always written"
    );
    assert_eq!(
        breaking(&Narrowed { order: order(), cents: 301 }),
        ["a new reader can't read old events at $: the committed example is refused: an odd amount is wanted"]
    );
    assert_eq!(
        breaking(&Rekeyed { order: order(), cents: 300, card: visa() }),
        ["a new reader can't read old events at $: the committed example now travels under \
         events.payment.authorized.visa, not events.payment.authorized.order=207"]
    );
}

#[test]
fn a_raised_version_has_a_file_of_its_own() {
    let raised = Raised { order: order() };
    assert_eq!(file_name::<Raised>(), "payment.authorized.v2.json");
    assert!(check(&raised, None).is_ok());
    assert!(matches!(check(&raised, Some(&committed())), Err(Error::OtherEvent { .. })));
}

#[test]
fn what_is_no_golden_is_refused() {
    let first = First { order: order(), cents: 300 };
    assert!(matches!(check(&first, Some("{}")), Err(Error::Committed(_))));
    assert!(matches!(check(&Lossy { order: order(), cents: 1 }, None), Err(Error::RoundTrip(_))));
    assert!(matches!(check(&Narrowed { order: order(), cents: 300 }, None), Err(Error::Example(_))));
}
