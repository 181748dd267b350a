//! Removes from a body what may not be shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Fields, PERSONAL, UNDECLARED};

/// Pointers, each cut to the part below the current value.
type Rest<'f> = Vec<Vec<&'f str>>;

impl Fields {
    /// The body with each personal value replaced by [`PERSONAL`], and each undeclared one by [`UNDECLARED`]. Declared objects
    /// and arrays remain; the names of undeclared members are left out, too.
    pub fn redact(&self, body: &Value) -> Value {
        shown(body, (&cut(&self.personal), &cut(&self.open)))
    }

    /// Removes the personal values of a body from a text that may quote them, for example a handler's error. Values of one or
    /// two characters stay: they can't be told from other text.
    pub fn scrub(&self, text: &str, body: &[u8]) -> String {
        const CHARS_MIN: usize = 3;
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return text.to_owned() };
        let mut values = Vec::new();
        personal(&body, &cut(&self.personal), &mut values);
        values.retain(|value| value.chars().count() >= CHARS_MIN);
        // The longer ones first: one may be a part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.iter().fold(text.to_owned(), |text, value| {
            let escaped = value.escape_debug().to_string();
            text.replace(value, PERSONAL).replace(&escaped, PERSONAL)
        })
    }
}

fn cut(pointers: &BTreeSet<String>) -> Rest<'_> {
    pointers.iter().map(|pointer| pointer.split('/').skip(1).collect()).collect()
}

fn shown(value: &Value, (personal, open): (&Rest<'_>, &Rest<'_>)) -> Value {
    if ends(personal) {
        return PERSONAL.into();
    }
    let member = |name: &str, value: &Value| {
        let (personal, open) = (below(personal, name), below(open, name));
        (!personal.is_empty() || !open.is_empty()).then(|| shown(value, (&personal, &open)))
    };
    match value {
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, value) in members {
                match member(name, value) {
                    Some(value) => kept.insert(name.clone(), value),
                    None => kept.insert(UNDECLARED.to_owned(), UNDECLARED.into()),
                };
            }
            kept.into()
        }
        Value::Array(elements) => {
            let element = |(index, value): (usize, &Value)| member(&index.to_string(), value);
            elements.iter().enumerate().map(|at| element(at).unwrap_or(UNDECLARED.into())).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let is_open = ends(open) || open.iter().any(|rest| rest == &["**"]);
            if is_open { value.clone() } else { UNDECLARED.into() }
        }
    }
}

/// Collects the single values at and below the pointers.
fn personal(value: &Value, pointers: &Rest<'_>, found: &mut Vec<String>) {
    let whole = ends(pointers);
    let below = |name: &str| if whole { vec![Vec::new()] } else { below(pointers, name) };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                personal(value, &below(name), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                personal(value, &below(&index.to_string()), found);
            }
        }
        Value::String(text) => found.extend(whole.then(|| text.clone())),
        Value::Number(number) => found.extend(whole.then(|| number.to_string())),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether one of the pointers leads right here.
fn ends(pointers: &Rest<'_>) -> bool {
    pointers.iter().any(Vec::is_empty)
}

/// The rest of the pointers below the member of this name.
fn below<'f>(pointers: &Rest<'f>, name: &str) -> Rest<'f> {
    let left = |rest: &Vec<&'f str>| match rest.split_first() {
        Some((&"**", _)) => Some(rest.clone()),
        Some((token, left)) if *token == "*" || token.replace("~1", "/").replace("~0", "~") == name => {
            Some(left.to_vec())
        }
        _ => None,
    };
    pointers.iter().filter_map(left).collect()
}
