//! What the compiler says is in `tests/ui/*.stderr`: `TRYBUILD=overwrite` writes it.

use std::fs;

use pavane_contract::{Event, EventRef, Key, subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.placed", key = id)]
struct Placed {
    id: Uuid,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.line-shipped", version = 65535)]
#[event(key = order.r#ref)]
struct LineShipped {
    order: Order,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Order {
    r#ref: Ref,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Ref(u32, u32);

impl From<Ref> for Key {
    fn from(key: Ref) -> Self {
        format!("{}/{}", key.0, key.1).into()
    }
}

/// Events that have the same field.
macro_rules! events {
    ($($event:ident: $name:literal, $version:literal, $key:ident: $type:ty)+) => {
        $(#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $name, version = $version, key = $key)]
        struct $event {
            $key: $type,
        })+

        /// The names that the derive takes.
        const NAMES: &[&str] = &[$($event::NAME),+];
    };
}

events! {
    Named: "order.placed", 2, name: String
    Numbered: "order.deadline-passed", 3, number: i64
    Short: "a.b", 1, id: u16
    Digits: "1.2", 1, id: u32
    Signs: "-._", 1, id: i16
    Mixed: "order_2.placed-again_", 1, id: u64
}

fn facts<E: Event>(event: &E) -> (String, String) {
    (EventRef::of::<E>().to_string(), event.key().to_string())
}

#[test]
fn a_derived_event_has_the_name_the_version_and_the_key_that_it_declares() {
    let fact = |event: &str, key: &str| (event.to_owned(), key.to_owned());
    assert_eq!(facts(&Placed { id: Uuid::nil() }), fact("order.placed v1", "00000000-0000-0000-0000-000000000000"));
    let shipped = LineShipped { order: Order { r#ref: Ref(7, 2) } };
    assert_eq!(facts(&shipped), fact("order.line-shipped v65535", "7/2"));
    assert_eq!(facts(&Named { name: "order 7".into() }), fact("order.placed v2", "order 7"));
    assert_eq!(facts(&Numbered { number: i64::MIN }), fact("order.deadline-passed v3", "-9223372036854775808"));
    assert_eq!(facts(&Short { id: 7 }), fact("a.b v1", "7"));
    assert_eq!(facts(&Signs { id: -7 }), fact("-._ v1", "-7"));
    assert_eq!(facts(&Digits { id: 0 }), fact("1.2 v1", "0"));
    assert_eq!(facts(&Mixed { id: u64::MAX }), fact("order_2.placed-again_ v1", "18446744073709551615"));
}

#[test]
fn a_mistake_in_a_declaration_is_named_where_it_stands() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The derive has the rule for itself, as it can't depend on this crate.
#[test]
fn the_derive_takes_the_names_that_are_taken_at_run_time() {
    for name in NAMES {
        assert!(subject::is_event_name(name), "{name:?}");
    }
    let source = include_str!("../ui/names.rs").split("(name = \"").skip(1);
    let refused: Vec<_> = source.map(|rest| rest.split('"').next().unwrap()).collect();
    for name in &refused {
        assert!(!subject::is_event_name(name), "{name:?}");
    }
    let said = fs::read_to_string("tests/ui/names.stderr").unwrap();
    let errors = said.matches("error: an event's name is").count();
    assert_eq!((errors, refused.len() > 15), (refused.len(), true));
}
