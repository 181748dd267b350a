mod derived;
mod recursion;
mod sound;

use serde_json::json;

use super::*;

/// The breaks as `direction path`, for tables.
fn found(old: &Value, new: &Value) -> Vec<String> {
    breaks(old, new).iter().map(|found| format!("{:?} {}", found.direction, found.path)).collect()
}

fn assert_breaks(what: &str, old: &Value, new: &Value, expected: &[&str]) {
    assert_eq!(found(old, new), expected, "{what}: {:#?}", breaks(old, new));
    let mut swapped: Vec<_> = expected
        .iter()
        .map(|line| match line.strip_prefix("OldReader") {
            Some(rest) => format!("NewReader{rest}"),
            None => line.replacen("NewReader", "OldReader", 1),
        })
        .collect();
    let mut back = found(new, old);
    swapped.sort();
    back.sort();
    assert_eq!(back, swapped, "{what}, undone");
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] = properties;
    schema
}

#[test]
fn fields() {
    let one = object(json!({ "a": { "type": "string" } }), &["a"]);
    let two = |required: &[&str]| object(json!({ "a": { "type": "string" }, "b": { "type": "string" } }), required);
    assert_breaks("an optional field", &one, &two(&["a"]), &[]);
    assert_breaks("a required field", &one, &two(&["a", "b"]), &["NewReader $.b"]);
    assert_breaks("a field that becomes required", &two(&["a"]), &two(&["a", "b"]), &["NewReader $.b"]);
    assert_breaks(
        "a field renamed",
        &one,
        &object(json!({ "c": { "type": "string" } }), &["c"]),
        &["OldReader $.a", "NewReader $.c"],
    );
    for closing in ["additionalProperties", "unevaluatedProperties"] {
        let (mut closed, mut more) = (one.clone(), two(&["a"]));
        closed[closing] = false.into();
        more[closing] = false.into();
        assert_breaks("a field that old readers refuse", &closed, &more, &["OldReader $.b"]);
    }
    let odd = object(json!({ "odd name": { "type": "string" } }), &["odd name"]);
    assert_breaks("an odd name", &odd, &object(json!({}), &[]), &["OldReader $[\"odd name\"]"]);
}

const BOTH: &[&str] = &["OldReader $", "NewReader $"];
const WIDER: &[&str] = &["OldReader $"];

#[test]
fn types() {
    for (what, old, new, expected) in [
        ("another type", json!({ "type": "string" }), json!({ "type": "integer" }), BOTH),
        ("null too", json!({ "type": "string" }), json!({ "type": ["string", "null"] }), WIDER),
        ("fractions too", json!({ "type": "integer" }), json!({ "type": "number" }), WIDER),
        ("anything", json!({ "type": "string" }), json!(true), WIDER),
        ("nothing", json!(false), json!({ "type": "string" }), WIDER),
        ("other words", json!({ "title": "A", "description": "a", "x-a": 1 }), json!({ "deprecated": true }), &[]),
    ] {
        assert_breaks(what, &old, &new, expected);
    }
}

#[test]
fn limits() {
    for (what, old, new, expected) in [
        (
            "a wider integer",
            json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
            WIDER,
        ),
        (
            "the same integer, said otherwise",
            json!({ "type": "integer", "format": "uint8" }),
            json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
            &[],
        ),
        (
            "a signed integer",
            json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
            json!({ "type": "integer", "format": "int64" }),
            BOTH,
        ),
        (
            "64 bits told apart",
            json!({ "type": "integer", "maximum": u64::MAX - 1 }),
            json!({ "type": "integer", "maximum": u64::MAX }),
            WIDER,
        ),
        (
            "a double",
            json!({ "type": "number", "format": "float" }),
            json!({ "type": "number", "format": "double" }),
            &[],
        ),
        ("no format", json!({ "type": "string", "format": "uuid" }), json!({ "type": "string" }), WIDER),
        (
            "another format",
            json!({ "type": "string", "format": "uuid" }),
            json!({ "type": "string", "format": "date-time" }),
            BOTH,
        ),
        (
            "a longer text",
            json!({ "type": "string", "maxLength": 3 }),
            json!({ "type": "string", "maxLength": 4 }),
            WIDER,
        ),
        (
            "another pattern",
            json!({ "type": "string", "pattern": "a" }),
            json!({ "type": "string", "pattern": "b" }),
            BOTH,
        ),
        ("no exception", json!({ "type": "integer", "not": { "const": 0 } }), json!({ "type": "integer" }), WIDER),
    ] {
        assert_breaks(what, &old, &new, expected);
    }
}

#[test]
fn enumerations_however_they_are_written() {
    let listed = json!({ "type": "string", "enum": ["a", "b"] });
    let described = json!({ "oneOf": [
        { "const": "a", "type": "string", "description": "the first" },
        { "type": "string", "enum": ["b"] },
    ] });
    assert_breaks("documented values", &listed, &described, &[]);
    let longer = json!({ "type": "string", "enum": ["a", "b", "c"] });
    assert_breaks("a further value", &described, &longer, &["OldReader $"]);
    assert_breaks("any value", &listed, &json!({ "type": "string" }), &["OldReader $"]);
    assert_breaks(
        "a number for a code",
        &json!({ "enum": [1, 2] }),
        &json!({ "type": "integer", "format": "uint8" }),
        &["OldReader $"],
    );
    let found = breaks(&listed, &longer);
    assert_eq!(
        found[0].to_string(),
        r#"an old reader can't read new events at $: "c" is written, but the reader accepts "a" or "b""#
    );
}

#[test]
fn variants() {
    let variant = |tag: &str, field: &str| {
        object(json!({ "kind": { "const": tag }, field: { "type": "string" } }), &["kind", field])
    };
    let two = json!({ "oneOf": [variant("a", "x"), variant("b", "y")] });
    let three = json!({ "oneOf": [variant("b", "y"), variant("c", "z"), variant("a", "x")] });
    assert_breaks("a further tagged variant", &two, &three, &["OldReader $"]);
    let renamed = json!({ "oneOf": [variant("a", "x"), variant("b", "w")] });
    assert_breaks("a field inside a variant", &two, &renamed, &["OldReader $.y", "NewReader $.w"]);

    let outside = |name: &str| {
        json!({
            "type": "object", "properties": { name: { "type": "string" } }, "required": [name], "additionalProperties": false,
        })
    };
    let old = json!({ "oneOf": [outside("A"), outside("B")] });
    let new = json!({ "oneOf": [outside("A"), outside("B"), outside("C")] });
    assert_breaks("a further variant", &old, &new, &["OldReader $"]);
    assert_eq!(breaks(&old, &new)[0].what, r#"{"C":…} is written, but the reader accepts {"A":…} or {"B":…}"#);
}

#[test]
fn references_and_compositions_say_the_same() {
    let plain = object(json!({ "a": { "type": "string" }, "b": { "type": "integer" } }), &["a", "b"]);
    let composed = json!({
        "allOf": [{ "$ref": "#/$defs/A%20part" }, { "$ref": "#/$defs/b~1part" }],
        "$defs": {
            "A part": object(json!({ "a": { "type": "string" } }), &["a"]),
            "b/part": object(json!({ "b": { "type": "integer" } }), &["b"]),
        },
    });
    assert_breaks("composed", &plain, &composed, &[]);
    let mut narrower = composed.clone();
    narrower["$defs"]["b/part"]["properties"]["b"]["maximum"] = 9.into();
    assert_breaks("a narrower part", &narrower, &composed, &["OldReader $.b"]);
    let elsewhere = |target: &str| json!({ "$ref": target });
    assert_breaks("another document", &elsewhere("urn:a"), &elsewhere("urn:a"), &[]);
    assert_breaks("other documents", &elsewhere("urn:a"), &elsewhere("urn:b"), &["OldReader $", "NewReader $"]);
}

#[test]
fn collections() {
    let list = |items: Value| json!({ "type": "array", "items": items });
    let map = |values: Value| json!({ "type": "object", "additionalProperties": values });
    let (small, large) = (json!({ "type": "integer", "maximum": 9 }), json!({ "type": "integer" }));
    assert_breaks("elements", &list(small.clone()), &list(large.clone()), &["OldReader $[*]"]);
    assert_breaks("values", &map(small.clone()), &map(large.clone()), &["OldReader $.*"]);
    let pair = |second: &Value| {
        json!({
            "type": "array", "prefixItems": [large, second], "minItems": 2, "maxItems": 2,
        })
    };
    assert_breaks("a tuple", &pair(&small), &pair(&large), &["OldReader $[1]"]);
    assert_breaks("a tuple becomes a list", &pair(&large), &list(large.clone()), &["OldReader $", "OldReader $"]);
    let short = json!({ "type": "array", "items": large, "maxItems": 1 });
    let long = json!({ "type": "array", "prefixItems": [large, { "type": "string" }] });
    assert!(breaks(&long, &short).iter().all(|found| found.direction == Direction::NewReader), "one element is no two");
    let set = json!({ "type": "array", "items": large, "uniqueItems": true });
    assert_breaks("a set becomes a list", &set, &list(large.clone()), &["OldReader $"]);
    let fields = object(json!({ "a": { "type": "string" } }), &[]);
    assert_breaks("fields become a map", &fields, &map(large.clone()), &["OldReader $.a", "NewReader $.a"]);
    let numbered = |values: &Value| {
        json!({
            "type": "object", "patternProperties": { "^\\d+$": values }, "additionalProperties": false,
        })
    };
    assert_breaks("numbered values", &numbered(&small), &numbered(&large), &["OldReader $.*"]);
    assert_breaks("numbers become names", &numbered(&large), &map(large.clone()), &["OldReader $.*"]);
    let narrower = ["OldReader $.*", "NewReader $.*"];
    assert_breaks("and the values narrower", &numbered(&large), &map(small.clone()), &narrower);
    let open = json!({ "type": "object", "patternProperties": { "^\\d+$": small } });
    assert_breaks("numbers among names", &open, &map(large), &["OldReader $.*"]);
}

#[test]
fn many_ways_to_say_one_thing() {
    let integer = json!({ "type": "integer" });
    for (what, one, two) in [
        ("null", json!({ "type": "null" }), json!({ "const": null })),
        ("a constant", json!({ "const": "a" }), json!({ "const": "a", "pattern": "a", "minLength": 1 })),
        ("duplicates", json!({ "uniqueItems": false }), json!({})),
        ("types", json!({ "type": ["string", "integer"] }), json!({ "anyOf": [integer, { "type": "string" }] })),
        ("narrower types", integer.clone(), json!({ "allOf": [{ "type": "number" }, integer] })),
        ("narrower limits", json!({ "minimum": 5 }), json!({ "allOf": [{ "minimum": 1 }, { "minimum": 5 }] })),
        ("and again", json!({ "maximum": 1 }), json!({ "allOf": [{ "maximum": 1 }, { "maximum": 5 }] })),
        ("contradictions", json!(false), json!({ "allOf": [integer, { "type": "string" }] })),
    ] {
        assert_breaks(what, &one, &two, &[]);
    }
}

#[test]
fn a_constraint_concerns_only_its_own_type() {
    let untyped = json!({ "required": ["a"], "items": { "type": "integer" }, "prefixItems": [false] });
    let text = json!({ "type": "string" });
    assert_breaks("a text under constraints for others", &untyped, &text, &["NewReader $"]);
}

#[test]
fn the_closest_alternative_is_told() {
    let far = object(json!({ "x": {}, "y": {}, "z": {} }), &["x", "y", "z"]);
    let near = |extra: &[&str]| object(json!({ "a": {}, "b": {} }), &[&["a"], extra].concat());
    let untagged = |near: Value| json!({ "anyOf": [far, near, far] });
    assert_breaks("an untagged variant", &untagged(near(&[])), &untagged(near(&["b"])), &["NewReader $.b"]);
}
