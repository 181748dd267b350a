use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde_json::json;

use super::*;

/// A type of which all is personal.
#[derive(JsonSchema)]
#[schemars(extend("x-personal" = true))]
#[expect(dead_code, reason = "only the schemas are of interest")]
struct Address {
    street: String,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schemas are of interest")]
struct Guest {
    #[schemars(extend("x-personal" = true))]
    name: String,
    #[serde(rename = "a/b~c")]
    room: u16,
}

#[derive(JsonSchema)]
#[serde(tag = "by")]
#[expect(dead_code, reason = "only the schemas are of interest")]
enum Pay {
    Cash,
    Card {
        #[schemars(extend("x-personal" = true))]
        token: String,
        bank: Option<String>,
    },
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schemas are of interest")]
struct Booked {
    booking: u64,
    guests: Vec<Guest>,
    home: Option<Address>,
    pay: Pay,
    rooms: BTreeMap<String, Guest>,
    pair: (u8, Guest),
    anything: Value,
    #[schemars(extend("x-personal" = true))]
    notes: Vec<String>,
    #[serde(flatten)]
    flat: Flat,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schemas are of interest")]
struct Flat {
    #[schemars(extend("x-personal" = true))]
    phone: Option<String>,
    floor: i8,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schemas are of interest")]
struct Tree {
    size: u8,
    #[schemars(extend("x-personal" = true))]
    name: String,
    children: Vec<Self>,
}

fn of<T: JsonSchema>() -> Fields {
    Fields::of_schema(&schema_for!(T).into())
}

/// The pointers are in manifests: wire format.
#[test]
fn fields_are_found_wherever_they_are() {
    insta::assert_json_snapshot!(of::<Booked>());
}

#[test]
fn in_a_type_that_contains_itself_all_is_personal_from_the_second_time_on() {
    let tree = json!({ "size": 1, "name": "Ada", "children": [
        { "size": 2, "name": "Bo", "children": [{ "size": 3, "name": "Cy", "children": [] }] }] });
    let shown = of::<Tree>().redact(&tree);
    for name in ["Ada", "Bo", "Cy"] {
        assert!(!shown.to_string().contains(name), "{shown}");
    }
    assert_eq!(shown["size"], 1);
}

fn booking() -> Value {
    json!({
        "booking": 7,
        "guests": [{ "name": "Ada Lovelace", "a/b~c": 12 }],
        "home": { "street": "St James's Square 12" },
        "pay": { "by": "Card", "token": "tok_visa", "bank": null },
        "rooms": { "green": { "name": "Ada Lovelace", "a/b~c": 12 } },
        "pair": [1, { "name": "Ada Lovelace", "a/b~c": 12 }],
        "anything": { "deep": [true, "is shown"] },
        "notes": ["sleeps late", 4711],
        "phone": "+44 20 7946 0000",
        "floor": 2
    })
}

#[test]
fn personal_values_are_replaced_and_the_structure_remains() {
    let guest = json!({ "name": "(personal)", "a/b~c": 12 });
    assert_eq!(
        of::<Booked>().redact(&booking()),
        json!({
            "booking": 7,
            "guests": [guest],
            "home": "(personal)",
            "pay": { "by": "Card", "token": "(personal)", "bank": null },
            "rooms": { "green": guest },
            "pair": [1, guest],
            "anything": { "deep": [true, "is shown"] },
            "notes": "(personal)",
            "phone": "(personal)",
            "floor": 2
        })
    );
}

/// A body that doesn't fit, one of an older contract or of a newer one: nobody said that it may be shown.
#[test]
fn what_the_contract_does_not_know_is_not_shown() {
    for (body, expected) in [
        (json!({ "booking": { "of": "Ada" } }), json!({ "booking": { "(undeclared)": "(undeclared)" } })),
        (json!({ "ada@example.org": 1, "bo": 2 }), json!({ "(undeclared)": "(undeclared)" })),
        (json!({ "guests": "Ada" }), json!({ "guests": "(undeclared)" })),
        (json!({ "guests": ["Ada"] }), json!({ "guests": ["(undeclared)"] })),
        (json!({ "booking": ["Ada"] }), json!({ "booking": ["(undeclared)"] })),
        (json!("Ada"), json!("(undeclared)")),
        (json!([{ "name": "Ada" }]), json!(["(undeclared)"])),
    ] {
        assert_eq!(of::<Booked>().redact(&body), expected, "{body}");
    }
    assert_eq!(Fields::default().redact(&booking()), json!({ "(undeclared)": "(undeclared)" }));
}

/// A schema may say more than we understand.
#[test]
fn a_schema_that_is_not_understood_opens_nothing() {
    for schema in [
        json!(false),
        json!({ "$ref": "https://example.org/elsewhere" }),
        json!({ "not": { "type": "string" } }),
        json!({ "required": ["name"] }),
        json!({ "type": "object" }),
        json!({ "properties": { "*": { "type": "string" }, "**": true } }),
    ] {
        let shown = Fields::of_schema(&schema).redact(&json!({ "name": "Ada" }));
        assert!(!shown.to_string().contains("Ada"), "{schema}: {shown}");
    }
    assert_eq!(Fields::of_schema(&json!(true)).redact(&booking()), booking());
}

#[test]
fn a_text_loses_the_personal_values_that_it_quotes() {
    let text =
        "no room 12 for \"Ada Lovelace\" of St James's Square 12 (St James\\'s Square 12), who sleeps late: 4711, Ada";
    let scrubbed = of::<Booked>().scrub(text, booking().to_string().as_bytes());
    assert_eq!(scrubbed, "no room 12 for \"(personal)\" of (personal) ((personal)), who (personal): (personal), Ada");
    assert_eq!(of::<Booked>().scrub("no body", b"{"), "no body");
}
