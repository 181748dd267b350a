//! Finds the fields that a JSON Schema declares.

use serde_json::{Map, Value};

use super::{Fields, KEYWORD};
use crate::schema::resolve;

pub(super) fn fields(schema: &Value) -> Fields {
    let mut scan = Scan { root: schema, refs: Vec::new(), fields: Fields::default() };
    scan.schema(schema, "");
    let Fields { personal, mut open } = scan.fields;
    // A value that may be personal is personal, whatever else it may be.
    open.retain(|pointer| !personal.contains(pointer));
    Fields { personal, open }
}

struct Scan<'s> {
    root: &'s Value,
    /// The references that led here.
    refs: Vec<&'s str>,
    fields: Fields,
}

impl<'s> Scan<'s> {
    /// Reads the schema of the value at a path. A schema that isn't understood declares nothing.
    fn schema(&mut self, schema: &'s Value, path: &str) {
        let Value::Object(keywords) = schema else {
            if schema == &Value::Bool(true) {
                self.anything(path);
            }
            return;
        };
        if keywords.get(KEYWORD).is_some_and(|says| says != &Value::Bool(false)) {
            self.fields.personal.insert(path.to_owned());
            return;
        }
        if keywords.keys().all(|keyword| is_annotation(keyword)) {
            self.anything(path);
        }
        if is_single(keywords) {
            self.fields.open.insert(path.to_owned());
        }
        for (keyword, value) in keywords {
            self.keyword(keyword, value, path);
        }
    }

    fn keyword(&mut self, keyword: &str, value: &'s Value, path: &str) {
        match (keyword, value) {
            ("$ref", Value::String(reference)) => self.follow(reference, path),
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                for schema in schemas {
                    self.schema(schema, path);
                }
            }
            ("then" | "else", schema) => self.schema(schema, path),
            ("dependentSchemas", Value::Object(schemas)) => {
                for schema in schemas.values() {
                    self.schema(schema, path);
                }
            }
            ("properties", Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    // These names have another meaning in the pointers.
                    if name != "*" && name != "**" {
                        self.schema(schema, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")));
                    }
                }
            }
            ("patternProperties", Value::Object(schemas)) => {
                for schema in schemas.values() {
                    self.schema(schema, &format!("{path}/*"));
                }
            }
            ("additionalProperties" | "unevaluatedProperties" | "items" | "unevaluatedItems" | "contains", schema) => {
                self.schema(schema, &format!("{path}/*"));
            }
            ("prefixItems", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    self.schema(schema, &format!("{path}/{index}"));
                }
            }
            _ => {}
        }
    }

    /// A type that contains itself has no end: from there on everything is personal if anything is.
    fn follow(&mut self, reference: &'s str, path: &str) {
        if self.refs.contains(&reference) {
            if has_marker(self.root) {
                self.fields.personal.insert(path.to_owned());
            } else {
                self.anything(path);
            }
        } else if let Some(target) = resolve(self.root, reference) {
            self.refs.push(reference);
            self.schema(target, path);
            self.refs.pop();
        }
    }

    fn anything(&mut self, path: &str) {
        self.fields.open.insert(format!("{path}/**"));
    }
}

/// Whether the value may be a text, a number, true, false or null.
fn is_single(keywords: &Map<String, Value>) -> bool {
    let single = |kind: &Value| !matches!(kind.as_str(), None | Some("object" | "array"));
    match keywords.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(single),
        Some(kind) => single(kind),
        None => keywords.contains_key("const") || keywords.contains_key("enum"),
    }
}

fn is_annotation(keyword: &str) -> bool {
    crate::schema::is_annotation(keyword) || matches!(keyword, "$defs" | "definitions")
}

fn has_marker(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.contains_key(KEYWORD) || members.values().any(has_marker),
        Value::Array(elements) => elements.iter().any(has_marker),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
