//! Schemas as schemars derives them from an event as it was and as it might become.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, schema_for};

use super::*;

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).into()
}

macro_rules! version {
    ($module:ident { $($item:item)+ }) => {
        mod $module {
            #![expect(dead_code, reason = "only the schemas are of interest")]
            use super::*;
            $(#[derive(JsonSchema)] $item)+
        }
    };
}

version!(first {
    pub(super) struct Order {
        id: u32,
        note: Option<String>,
        pay: Pay,
        ship: Option<Ship>,
        tags: BTreeSet<String>,
        stock: BTreeMap<String, u32>,
        pair: (u8, String),
        parent: Option<Box<Self>>,
        #[serde(flatten)]
        more: BTreeMap<u16, Ship>,
    }
    pub(super) struct Ship { to: String, state: State }
    #[serde(tag = "type")]
    pub(super) enum Pay { Cash, Card(Card), Debt { days: u16 } }
    pub(super) struct Card { token: String }
    pub(super) enum State { Open, Shut { at: u64 } }
    #[serde(untagged)]
    pub(super) enum Either { Number(u32), Ship(Ship) }
});

version!(additive {
    /// Has words.
    pub(super) struct Order {
        id: u32,
        /// Moved, and joined by another.
        ship: Option<Ship>,
        gift: Option<Ship>,
        #[serde(default)]
        urgent: bool,
        note: Option<String>,
        pay: Pay,
        tags: BTreeSet<String>,
        stock: BTreeMap<String, u32>,
        pair: (u8, String),
        parent: Option<Box<Self>>,
        #[serde(flatten)]
        more: BTreeMap<u16, Ship>,
    }
    pub(super) struct Ship { to: String, floor: Option<u8>, state: State }
    #[serde(tag = "type")]
    pub(super) enum Pay { Cash, Card(Card), Debt { days: u16, rate: Option<f64> } }
    pub(super) struct Card { token: String, #[serde(skip_serializing_if = "Option::is_none")] bank: Option<String> }
    pub(super) enum State {
        /// Has words.
        Open,
        Shut { at: u64, by: Option<String> },
    }
});

version!(breaking {
    pub(super) struct Order {
        id: u64,
        note: String,
        pay: Pay,
        ship: Option<Ship>,
        tags: Vec<String>,
        stock: BTreeMap<String, i32>,
        pair: (u16, String),
        parent: Option<Box<Self>>,
        #[serde(flatten)]
        more: BTreeMap<u16, Ship>,
    }
    pub(super) struct Ship { to: String, state: State, street: String }
    #[serde(tag = "type")]
    pub(super) enum Pay { Cash, Card(Card), Debt { days: u8 }, Gold }
    pub(super) struct Card { token: u64 }
    pub(super) enum State { Open, Shut { since: u64 }, Ajar }
    #[serde(untagged)]
    pub(super) enum Either { Number(u32), Ship(Ship), Text(String) }
});

#[test]
fn additive_changes_break_nobody() {
    let (old, new) = (of::<first::Order>(), of::<additive::Order>());
    assert_eq!(breaks(&old, &new), []);
    assert_eq!(breaks(&old, &old), []);
}

#[test]
fn each_breaking_change_is_named() {
    let lines =
        |old: &Value, new: &Value| breaks(old, new).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("order", lines(&of::<first::Order>(), &of::<breaking::Order>()));
    insta::assert_snapshot!("either", lines(&of::<first::Either>(), &of::<breaking::Either>()));
}
