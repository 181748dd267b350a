//! Brings a schema into one form: the list of its alternatives.
//!
//! However a schema is written (`$ref`, `allOf`, `anyOf`, `oneOf`, several types, an `enum`), its alternatives are the
//! same, so that two ways to say one thing compare as equal.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::shape::{Node, Shape};

/// The alternatives of what `node` accepts. None: it accepts nothing.
pub(super) fn alternatives<'s>(root: &'s Value, node: &[&'s Value]) -> Vec<Shape<'s>> {
    all(node.iter().map(|schema| expand(root, schema, &mut Vec::new())))
}

/// Where a schema that is nothing but a reference leads; else the schema itself.
pub(super) fn target<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut refs: Vec<&str> = Vec::new();
    let mut schema = schema;
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str)
        && schema.as_object().is_some_and(|keywords| {
            keywords.keys().all(|keyword| keyword == "$ref" || is_definitions(keyword) || is_annotation(keyword))
        })
        && !refs.contains(&reference)
        && let Some(next) = resolve(root, reference)
    {
        refs.push(reference);
        schema = next;
    }
    schema
}

/// `refs` are the references that led here: one that leads to itself accepts nothing.
fn expand<'s>(root: &'s Value, schema: &'s Value, refs: &mut Vec<&'s str>) -> Vec<Shape<'s>> {
    let Value::Object(keywords) = schema else {
        return if schema == &Value::Bool(false) { Vec::new() } else { vec![Shape::default()] };
    };
    let mut conjuncts = vec![own(keywords)];
    if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
        conjuncts.push(follow(root, target, refs));
    }
    for schema in list(keywords, "allOf") {
        conjuncts.push(expand(root, schema, refs));
    }
    for keyword in ["anyOf", "oneOf"] {
        if keywords.contains_key(keyword) {
            conjuncts.push(list(keywords, keyword).iter().flat_map(|schema| expand(root, schema, refs)).collect());
        }
    }
    all(conjuncts)
}

fn follow<'s>(root: &'s Value, target: &'s str, refs: &mut Vec<&'s str>) -> Vec<Shape<'s>> {
    if refs.contains(&target) {
        return Vec::new();
    }
    let Some(schema) = resolve(root, target) else {
        // Kept in another document: all that can be said is whether both sides name the same one.
        let mut elsewhere = Shape::default();
        elsewhere.others.insert(target, Vec::new());
        return vec![elsewhere];
    };
    refs.push(target);
    let shapes = expand(root, schema, refs);
    refs.pop();
    shapes
}

pub(crate) fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(&percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?)
}

/// Every way to satisfy all of `conjuncts`.
fn all<'s>(conjuncts: impl IntoIterator<Item = Vec<Shape<'s>>>) -> Vec<Shape<'s>> {
    conjuncts.into_iter().fold(vec![Shape::default()], |shapes, more| {
        shapes.iter().flat_map(|shape| more.iter().filter_map(|other| shape.clone().and(other))).collect()
    })
}

/// The alternatives that a schema's own keywords give: one for each value of an enumeration, else one for each type.
fn own(keywords: &Map<String, Value>) -> Vec<Shape<'_>> {
    let constraints = constraints(keywords);
    let constants = match (keywords.get("const"), keywords.get("enum")) {
        (Some(constant), _) => vec![Some(constant)],
        (None, Some(Value::Array(values))) => values.iter().map(Some).collect(),
        _ => vec![None],
    };
    let kinds = match keywords.get("type") {
        Some(Value::String(kind)) => vec![Some(kind.as_str())],
        Some(Value::Array(kinds)) => kinds.iter().map(Value::as_str).collect(),
        _ => vec![None],
    };
    let pairs = kinds.iter().flat_map(|kind| constants.iter().map(move |constant| (*kind, *constant)));
    pairs.filter_map(|(kind, constant)| Shape::of_kind(kind, constant)?.and(&constraints)).map(Shape::settle).collect()
}

fn constraints(keywords: &Map<String, Value>) -> Shape<'_> {
    let mut shape = Shape::default();
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(schemas)) => shape.properties = nodes(schemas),
            ("patternProperties", Value::Object(schemas)) => shape.patterns = nodes(schemas),
            ("additionalProperties" | "unevaluatedProperties", schema) => shape.rest.push(schema),
            ("required", Value::Array(names)) => shape.required = names.iter().filter_map(Value::as_str).collect(),
            ("prefixItems", Value::Array(schemas)) => {
                shape.prefix = schemas.iter().map(|schema| vec![schema]).collect();
            }
            ("items", schema) => shape.items.push(schema),
            ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", Value::Number(limit)) => {
                shape.least.insert(keyword, limit.clone());
            }
            ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", Value::Number(limit)) => {
                shape.most.insert(keyword, limit.clone());
            }
            ("uniqueItems", Value::Bool(false)) => {}
            (keyword, _) if is_structure(keyword) || is_annotation(keyword) => {}
            (keyword, value) => {
                shape.others.insert(keyword, vec![value]);
            }
        }
    }
    shape
}

fn is_structure(keyword: &str) -> bool {
    matches!(keyword, "type" | "enum" | "const" | "$ref" | "allOf" | "anyOf" | "oneOf") || is_definitions(keyword)
}

fn is_definitions(keyword: &str) -> bool {
    matches!(keyword, "$defs" | "definitions")
}

/// Keywords that constrain nothing.
pub(crate) fn is_annotation(keyword: &str) -> bool {
    matches!(
        keyword,
        "$schema"
            | "$id"
            | "$anchor"
            | "$comment"
            | "title"
            | "description"
            | "default"
            | "examples"
            | "deprecated"
            | "readOnly"
            | "writeOnly"
    ) || keyword.starts_with("x-")
}

fn list<'s>(keywords: &'s Map<String, Value>, keyword: &str) -> &'s [Value] {
    keywords.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn nodes(schemas: &Map<String, Value>) -> BTreeMap<&str, Node<'_>> {
    schemas.iter().map(|(name, schema)| (name.as_str(), vec![schema])).collect()
}
