//! The check against a model of what serde reads and writes.

use proptest::{prelude::*, sample::SizeRange};
use serde_json::Map;

use super::*;

/// A type, as far as serde and schemars care.
#[derive(Debug, Clone)]
enum Type {
    Integer {
        bits: u32,
    },
    Text,
    Codes(Vec<&'static str>),
    Optional(Box<Self>),
    List(Box<Self>),
    Struct(Vec<Field>),
    /// Internally tagged.
    Tagged(Vec<(&'static str, Vec<Field>)>),
}

#[derive(Debug, Clone)]
struct Field {
    name: &'static str,
    required: bool,
    is: Type,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Type {
    fn schema(&self) -> Value {
        match self {
            Self::Integer { bits } => json!({ "type": "integer", "format": format!("uint{bits}"), "minimum": 0 }),
            Self::Text => json!({ "type": "string" }),
            Self::Codes(codes) => json!({ "type": "string", "enum": codes }),
            Self::Optional(is) => json!({ "anyOf": [is.schema(), { "type": "null" }] }),
            Self::List(is) => json!({ "type": "array", "items": is.schema() }),
            Self::Struct(fields) => object_of(fields, None),
            Self::Tagged(variants) => {
                json!({ "oneOf": variants.iter().map(|(tag, fields)| object_of(fields, Some(tag))).collect::<Vec<_>>() })
            }
        }
    }

    /// Whether serde would read `value` as this type.
    fn reads(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer { bits }, Value::Number(number)) => number.as_u64().is_some_and(|n| n < 1 << bits),
            (Self::Text, Value::String(_)) | (Self::Optional(_), Value::Null) => true,
            (Self::Codes(codes), Value::String(text)) => codes.contains(&text.as_str()),
            (Self::Optional(is), value) => is.reads(value),
            (Self::List(is), Value::Array(values)) => values.iter().all(|value| is.reads(value)),
            (Self::Struct(fields), Value::Object(map)) => reads_fields(fields, map),
            (Self::Tagged(variants), Value::Object(map)) => {
                variants.iter().any(|(tag, fields)| map.get("tag") == Some(&json!(tag)) && reads_fields(fields, map))
            }
            _ => false,
        }
    }

    /// What serde would write for this type: enough to meet every limit and every variant at every place.
    fn examples(&self) -> Vec<Value> {
        match self {
            Self::Integer { bits } => vec![json!(0), json!((1_u64 << bits) - 1)],
            Self::Text => vec![json!("a"), json!("any text")],
            Self::Codes(codes) => codes.iter().map(|code| json!(code)).collect(),
            Self::Optional(is) => is.examples().into_iter().chain([Value::Null]).collect(),
            Self::List(is) => is.examples().into_iter().map(|value| json!([value])).chain([json!([])]).collect(),
            Self::Struct(fields) => examples_of(fields, None),
            Self::Tagged(variants) => {
                variants.iter().flat_map(|(tag, fields)| examples_of(fields, Some(tag))).collect()
            }
        }
    }
}

fn object_of(fields: &[Field], tag: Option<&str>) -> Value {
    let mut properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), field.is.schema())).collect();
    let mut required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    if let Some(tag) = tag {
        properties.insert("tag".to_owned(), json!({ "const": tag }));
        required.push("tag");
    }
    object(properties.into(), &required)
}

fn reads_fields(fields: &[Field], map: &Map<String, Value>) -> bool {
    fields.iter().all(|field| map.get(field.name).map_or(!field.required, |value| field.is.reads(value)))
}

fn examples_of(fields: &[Field], tag: Option<&str>) -> Vec<Value> {
    let mut whole: Map<_, _> = tag.map(|tag| ("tag".to_owned(), json!(tag))).into_iter().collect();
    whole.extend(fields.iter().map(|field| (field.name.to_owned(), field.is.examples().swap_remove(0))));
    let mut examples = vec![whole.clone()];
    for field in fields {
        for value in field.is.examples() {
            let mut other = whole.clone();
            other.insert(field.name.to_owned(), value);
            examples.push(other);
        }
        if !field.required {
            let mut without = whole.clone();
            without.remove(field.name);
            examples.push(without);
        }
    }
    examples.into_iter().map(Value::from).collect()
}

fn names(size: impl Into<SizeRange>) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(NAMES.to_vec(), size)
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        prop_oneof![Just(8), Just(16)].prop_map(|bits| Type::Integer { bits }),
        Just(Type::Text),
        names(1..=3).prop_map(Type::Codes),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let fields = fields(inner.clone()).boxed();
        prop_oneof![
            inner.clone().prop_map(|is| Type::Optional(Box::new(is))),
            inner.prop_map(|is| Type::List(Box::new(is))),
            fields.clone().prop_map(Type::Struct),
            (names(1..=3), proptest::collection::vec(fields, 3))
                .prop_map(|(names, fields)| Type::Tagged(names.into_iter().zip(fields).collect())),
        ]
    })
}

fn fields(types: impl Strategy<Value = Type>) -> impl Strategy<Value = Vec<Field>> {
    (names(0..=3), proptest::collection::vec((any::<bool>(), types), 3)).prop_map(|(names, parts)| {
        names.into_iter().zip(parts).map(|(name, (required, is))| Field { name, required, is }).collect()
    })
}

/// A type and another that differs from it in one place, or not at all.
fn pairs() -> impl Strategy<Value = (Type, Type)> {
    (types(), types(), any::<proptest::sample::Index>()).prop_map(|(old, other, place)| {
        let mut new = old.clone();
        let mut left = place.index(4);
        swap(&mut new, &other, &mut left);
        (old, new)
    })
}

/// Puts `other` in the place of the `left`th part of `is`.
fn swap(is: &mut Type, other: &Type, left: &mut usize) {
    let Some(rest) = left.checked_sub(1) else { return };
    *left = rest;
    if rest == 0 {
        *is = other.clone();
        return;
    }
    match is {
        Type::Integer { .. } | Type::Text | Type::Codes(_) => {}
        Type::Optional(is) | Type::List(is) => swap(is, other, left),
        Type::Struct(fields) => fields.iter_mut().for_each(|field| swap(&mut field.is, other, left)),
        Type::Tagged(variants) => {
            variants.iter_mut().flat_map(|(_, fields)| fields).for_each(|field| swap(&mut field.is, other, left));
        }
    }
}

proptest! {
    #[test]
    fn a_type_breaks_nobody_by_staying_as_it_is(is in types()) {
        prop_assert_eq!(breaks(&is.schema(), &is.schema()), []);
    }

    #[test]
    fn an_optional_field_breaks_nobody(is in types(), added in types()) {
        let old = Field { name: "a", required: true, is };
        let new = vec![old.clone(), Field { name: "b", required: false, is: added }];
        prop_assert_eq!(breaks(&Type::Struct(vec![old]).schema(), &Type::Struct(new).schema()), []);
    }

    #[test]
    fn exactly_what_breaks_somebody_is_reported((old, new) in pairs()) {
        let breaks = breaks(&old.schema(), &new.schema());
        for (direction, writer, reader) in [(Direction::OldReader, &new, &old), (Direction::NewReader, &old, &new)] {
            let examples = writer.examples();
            prop_assert!(examples.iter().all(|value| writer.reads(value)), "the model contradicts itself");
            let refused: Vec<_> = examples.iter().filter(|value| !reader.reads(value)).collect();
            let reported: Vec<_> = breaks.iter().filter(|found| found.direction == direction).collect();
            prop_assert_eq!(refused.is_empty(), reported.is_empty(), "{:?}: {:?}, {:?}", direction, refused, reported);
        }
    }
}
