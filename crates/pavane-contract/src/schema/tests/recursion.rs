//! Types that mention themselves.

use super::*;

#[test]
fn recursion_ends() {
    let tree = |value: Value, next: Value| {
        json!({
            "$ref": "#/$defs/Tree",
            "$defs": { "Tree": object(json!({ "value": value, "next": next }), &["value"]) },
        })
    };
    let next = json!({ "anyOf": [{ "$ref": "#/$defs/Tree" }, { "type": "null" }] });
    let old = tree(json!({ "type": "integer" }), next.clone());
    assert_breaks("the same tree", &old, &old.clone(), &[]);
    let new = tree(json!({ "type": "number" }), next);
    assert!(found(&old, &new).contains(&"OldReader $.value".to_owned()), "{:?}", found(&old, &new));
    assert!(found(&new, &old).iter().all(|line| line.starts_with("NewReader")));
    let deeper = tree(json!({ "type": "integer" }), json!({ "$ref": "#" }));
    assert!(found(&old, &deeper).iter().all(|line| line.starts_with("NewReader $.next")), "{:?}", found(&old, &deeper));
    for endless in [
        json!({ "$ref": "#" }),
        json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] }),
        json!({ "allOf": [{ "$ref": "#" }, { "properties": { "a": { "$ref": "#" } } }] }),
        json!({ "allOf": [
            { "properties": { "a": { "allOf": [{ "$ref": "#" }, {}] } } },
            { "properties": { "a": { "allOf": [{}, { "$ref": "#" }] } } },
        ] }),
    ] {
        assert_breaks("endless", &endless, &endless.clone(), &[]);
    }
}

/// Eight types that all mention one another: a search that forgot what it knows would take for ever.
#[test]
fn tangled_schemas_are_compared_once_for_each_pair() {
    let names: Vec<_> = (0..8).map(|n| format!("T{n}")).collect();
    let tangle = |leaf: &str| {
        let mut types = serde_json::Map::new();
        for name in &names {
            let mut fields: serde_json::Map<_, _> = names
                .iter()
                .map(|other| {
                    (
                        other.to_lowercase(),
                        json!({ "anyOf": [{ "$ref": format!("#/$defs/{other}") }, { "type": "null" }] }),
                    )
                })
                .collect();
            fields.insert("leaf".into(), json!({ "type": leaf }));
            types.insert(name.clone(), object(fields.into(), &[]));
        }
        json!({ "$ref": "#/$defs/T0", "$defs": types })
    };
    assert_breaks("a tangle", &tangle("string"), &tangle("string"), &[]);
    assert!(!breaks(&tangle("integer"), &tangle("number")).is_empty());
}
