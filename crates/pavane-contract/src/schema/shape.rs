//! One alternative of a schema: everything that is said about the values of one kind.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Number, Value};

/// The schemas that all hold for the values at one place. None: nothing is said about them.
pub(super) type Node<'s> = Vec<&'s Value>;

/// One alternative of a schema.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape<'s> {
    /// The JSON type, or any.
    pub(super) kind: Option<&'s str>,
    /// The only value.
    pub(super) constant: Option<&'s Value>,
    pub(super) properties: BTreeMap<&'s str, Node<'s>>,
    pub(super) required: BTreeSet<&'s str>,
    /// Properties by a pattern of their names.
    pub(super) patterns: BTreeMap<&'s str, Node<'s>>,
    /// All other properties.
    pub(super) rest: Node<'s>,
    /// The first elements of an array.
    pub(super) prefix: Vec<Node<'s>>,
    /// All other elements.
    pub(super) items: Node<'s>,
    /// Lower limits by keyword.
    pub(super) least: BTreeMap<&'s str, Number>,
    /// Upper limits by keyword.
    pub(super) most: BTreeMap<&'s str, Number>,
    /// Constraints that are only ever compared for equality.
    pub(super) others: BTreeMap<&'s str, Vec<&'s Value>>,
}

/// The order of two JSON numbers, exact where both are whole.
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// The JSON Schema type of a value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl<'s> Shape<'s> {
    /// Whether its values can be of that type.
    pub(super) fn may_be(&self, kind: &str) -> bool {
        self.kind.is_none_or(|mine| mine == kind)
    }

    /// The fields with one fixed value, by which serde tells the variants of a tagged enum apart.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'s str, &'s Value)> {
        self.properties.iter().filter_map(|(name, node)| Some((*name, node.iter().find_map(|schema| fixed(schema))?)))
    }

    /// The only field that an externally tagged variant has.
    pub(super) fn variant(&self) -> Option<&'s str> {
        let closed = self.rest.iter().any(|schema| **schema == Value::Bool(false));
        (closed && self.properties.len() == 1 && self.required.len() == 1).then(|| self.required.first().copied())?
    }

    /// Names it for people.
    pub(super) fn label(&self) -> String {
        let tags: Map<_, _> = self.tags().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        match (self.constant, self.variant()) {
            (Some(constant), _) => constant.to_string(),
            (None, _) if !tags.is_empty() => Value::Object(tags).to_string(),
            (None, Some(variant)) => format!("{{{}:…}}", Value::from(variant)),
            (None, None) => self.kind.unwrap_or("anything").to_owned(),
        }
    }

    pub(super) fn of_kind(kind: Option<&'s str>, constant: Option<&'s Value>) -> Option<Self> {
        static NULL: Value = Value::Null;
        let constant = if kind == Some("null") { constant.or(Some(&NULL)) } else { constant };
        let mut shape = Self { kind: constant.map(kind_of), constant, ..Self::default() };
        if let Some(Value::Number(number)) = constant {
            shape.least.insert("minimum", number.clone());
            shape.most.insert("maximum", number.clone());
        }
        shape.and(&Self { kind, ..Self::default() })
    }

    /// What both say together. `None` when no value satisfies both.
    pub(super) fn and(mut self, other: &Self) -> Option<Self> {
        self.kind = match (self.kind, other.kind) {
            (kind, None) | (None, kind) => kind,
            (Some("integer"), Some("number")) | (Some("number"), Some("integer")) => Some("integer"),
            (Some(one), Some(two)) if one == two => Some(one),
            _ => return None,
        };
        self.constant = match (self.constant, other.constant) {
            (constant, None) | (None, constant) => constant,
            (Some(one), Some(two)) if one == two => Some(one),
            _ => return None,
        };
        join_all(&mut self.properties, &other.properties);
        join_all(&mut self.patterns, &other.patterns);
        self.required.extend(&other.required);
        join(&mut self.rest, &other.rest);
        join(&mut self.items, &other.items);
        self.prefix.resize_with(self.prefix.len().max(other.prefix.len()), Vec::new);
        for (mine, theirs) in self.prefix.iter_mut().zip(&other.prefix) {
            join(mine, theirs);
        }
        tighten(&mut self.least, &other.least, Ordering::Greater);
        tighten(&mut self.most, &other.most, Ordering::Less);
        for (keyword, values) in &other.others {
            let mine = self.others.entry(keyword).or_default();
            mine.extend(values.iter().filter(|value| !mine.contains(value)).collect::<Vec<_>>());
        }
        Some(self)
    }

    /// Turns what a number's format says into limits, and drops the formats that say nothing more.
    pub(super) fn settle(mut self) -> Self {
        let Some("integer" | "number") = self.kind else { return self };
        let format = self.others.get("format").and_then(|formats| formats.first()?.as_str()).unwrap_or_default();
        let (least, most): (Option<Number>, Option<Number>) = match format {
            "int8" => (Some(i8::MIN.into()), Some(i8::MAX.into())),
            "int16" => (Some(i16::MIN.into()), Some(i16::MAX.into())),
            "int32" => (Some(i32::MIN.into()), Some(i32::MAX.into())),
            "int64" | "int" => (Some(i64::MIN.into()), Some(i64::MAX.into())),
            "uint8" => (Some(0.into()), Some(u8::MAX.into())),
            "uint16" => (Some(0.into()), Some(u16::MAX.into())),
            "uint32" => (Some(0.into()), Some(u32::MAX.into())),
            "uint64" | "uint" => (Some(0.into()), Some(u64::MAX.into())),
            "uint128" => (Some(0.into()), None),
            "int128" | "float" | "double" => (None, None),
            _ => return self,
        };
        self.others.remove("format");
        let limit = |keyword, limit: Option<Number>| limit.map(|limit| (keyword, limit)).into_iter().collect();
        tighten(&mut self.least, &limit("minimum", least), Ordering::Greater);
        tighten(&mut self.most, &limit("maximum", most), Ordering::Less);
        self
    }
}

/// The only value that a schema allows, if it says so itself.
fn fixed(schema: &Value) -> Option<&Value> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array).map(Vec::as_slice)) {
        (Some(constant), _) | (None, Some([constant])) => Some(constant),
        _ => None,
    }
}

/// Adds `theirs`, each schema once: a recursive schema would grow for ever otherwise.
fn join<'s>(mine: &mut Node<'s>, theirs: &[&'s Value]) {
    for schema in theirs {
        if !mine.iter().any(|known| std::ptr::eq(*known, *schema)) {
            mine.push(schema);
        }
    }
}

fn join_all<'s>(mine: &mut BTreeMap<&'s str, Node<'s>>, theirs: &BTreeMap<&'s str, Node<'s>>) {
    for (name, node) in theirs {
        join(mine.entry(name).or_default(), node);
    }
}

fn tighten<'s>(mine: &mut BTreeMap<&'s str, Number>, theirs: &BTreeMap<&'s str, Number>, tighter: Ordering) {
    for (keyword, limit) in theirs {
        let kept = mine.entry(keyword).or_insert_with(|| limit.clone());
        if compare(limit, kept) == tighter {
            *kept = limit.clone();
        }
    }
}
