use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Manifest, Saga};

/// What a service publishes about itself for the monitor and the command line: its manifest, the sagas that it starts, and
/// the settings that others have to fit. Plain data; a service puts it into a bucket of the bus when it starts.
///
/// It grows additively: a reader ignores what it doesn't know, and refuses another [`SCHEMA`](Self::SCHEMA).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Declaration {
    /// The version of this form; it counts breaking changes.
    pub schema: u16,
    /// Its part of the choreography.
    pub manifest: Manifest,
    /// The sagas that it starts.
    #[serde(default)]
    pub sagas: Vec<Saga>,
    /// How it is run.
    #[serde(default)]
    pub settings: Settings,
}

/// How a service is configured, as far as it concerns others. Empty where a service didn't declare it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// The version of the framework that it was built with.
    #[serde(default)]
    pub pavane: String,
    /// How long it remembers which events it has handled.
    #[serde(default)]
    pub inbox_retention: Duration,
    /// How long its relay keeps what it has published.
    #[serde(default)]
    pub durability_horizon: Duration,
    /// The `max_age` that it wants of the events stream.
    #[serde(default)]
    pub events_max_age: Duration,
    /// The `max_age` that it wants of the stream of dead letters.
    #[serde(default)]
    pub dead_letters_max_age: Duration,
    /// The duplicate window that it wants of the stream.
    #[serde(default)]
    pub duplicate_window: Duration,
    /// Its reactions by name.
    #[serde(default)]
    pub reactions: BTreeMap<String, ReactionSettings>,
}

/// How a reaction is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReactionSettings {
    /// Its durable consumer.
    pub durable: String,
    /// How long it may take, from the moment at which its event is there until it has handled it, before its saga counts as
    /// stuck.
    pub stuck_after: Duration,
    /// How long the broker waits for a heartbeat before it delivers an event again.
    pub ack_wait: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts before an event becomes a dead letter.
    pub max_attempts: u32,
    /// Events in one transaction at most.
    pub batch_max: usize,
}

impl Declaration {
    /// The version that this crate writes and reads.
    pub const SCHEMA: u16 = 1;

    /// A service's declaration.
    pub fn new(manifest: Manifest, sagas: Vec<Saga>, settings: Settings) -> Self {
        Self { schema: Self::SCHEMA, manifest, sagas, settings }
    }
}

impl ReactionSettings {
    /// The default of `stuck_after`.
    pub const STUCK_AFTER: Duration = Duration::from_secs(30);
    /// The default of `batch_max`.
    pub const BATCH_MAX: usize = 256;

    /// The settings of the reaction with this durable consumer.
    pub fn new(durable: impl Into<String>) -> Self {
        Self {
            durable: durable.into(),
            stuck_after: Self::STUCK_AFTER,
            ack_wait: Duration::from_secs(30),
            timeout: Duration::from_mins(1),
            max_attempts: 8,
            batch_max: Self::BATCH_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use pavane_contract::EventRef;

    use super::*;
    use crate::JoinPart;

    /// As a service of this version writes it. Later versions must read it.
    const GOLDEN: &str = r#"{
      "schema": 1,
      "manifest": {
        "service": "till",
        "entries": [{ "name": "open", "emits": [{ "all": [{ "name": "till.opened", "version": 1 }] }] }],
        "reactions": [{
          "name": "count", "role": "react", "on": [{ "name": "till.opened", "version": 1 }],
          "emits": [{ "one-of": [{ "name": "till.counted", "version": 1 }] }], "effect": false, "gives_up_with": null
        }]
      },
      "sagas": [{
        "name": "day", "starts_with": { "name": "till.opened", "version": 1 },
        "completes_with": [{ "name": "till.counted", "version": 1 }], "aborts_with": [],
        "within": { "secs": 86400, "nanos": 0 }, "terminal": [], "without_undo": []
      }],
      "settings": {
        "pavane": "0.1.0",
        "inbox_retention": { "secs": 3888000, "nanos": 0 },
        "durability_horizon": { "secs": 600, "nanos": 0 },
        "events_max_age": { "secs": 604800, "nanos": 0 },
        "dead_letters_max_age": { "secs": 2592000, "nanos": 0 },
        "duplicate_window": { "secs": 120, "nanos": 0 },
        "reactions": {
          "count": {
            "durable": "till_count", "stuck_after": { "secs": 30, "nanos": 0 }, "ack_wait": { "secs": 30, "nanos": 0 },
            "timeout": { "secs": 60, "nanos": 0 }, "max_attempts": 8, "batch_max": 256
          }
        }
      }
    }"#;

    #[test]
    fn its_form_never_changes() {
        let declaration: Declaration = serde_json::from_str(GOLDEN).unwrap();
        let written = serde_json::to_value(&declaration).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(GOLDEN).unwrap());
        assert_eq!(declaration.settings.reactions["count"], ReactionSettings::new("till_count"));
    }

    /// It would take *all of* for *any of*.
    #[test]
    fn a_join_is_refused_by_a_reader_that_does_not_know_joins() {
        /// The roles as they were before there were joins.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(dead_code, reason = "read only")]
        enum Role {
            React,
            Undo { undoes: EventRef },
        }
        let event = |name: &str| EventRef { name: name.to_owned(), version: 1 };
        let of = vec![JoinPart::OneOf(vec![event("a.b")]), JoinPart::OneOf(vec![event("c.d"), event("e.f")])];
        let written = serde_json::to_string(&crate::Role::Join { of }).unwrap();
        assert_eq!(
            written,
            r#"{"join":{"of":[{"one-of":[{"name":"a.b","version":1}]},{"one-of":[{"name":"c.d","version":1},{"name":"e.f","version":1}]}]}}"#
        );
        let refused = serde_json::from_str::<Role>(&written).unwrap_err();
        assert!(refused.to_string().contains("unknown variant `join`"), "{refused}");
        assert!(serde_json::from_str::<Role>(r#""react""#).is_ok());
    }

    /// It would take what happens for each item for what happens once.
    #[test]
    fn items_are_refused_by_a_reader_that_does_not_know_them() {
        /// The words as they were before there were items.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(dead_code, reason = "read only")]
        enum Role {
            React,
            Join { of: Vec<JoinPart> },
            Undo { undoes: EventRef },
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(dead_code, reason = "read only")]
        enum JoinPart {
            OneOf(Vec<EventRef>),
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(dead_code, reason = "read only")]
        enum Emission {
            All(Vec<EventRef>),
        }
        let event = || EventRef { name: "a.b".to_owned(), version: 1 };
        let each = serde_json::to_string(&crate::Role::Each).unwrap();
        let every = crate::Role::Join { of: vec![crate::JoinPart::Every(event())] };
        let every = serde_json::to_string(&every).unwrap();
        let list = serde_json::to_string(&crate::Emission::Each(vec![event(), event()])).unwrap();
        assert_eq!(each, r#""each""#);
        assert_eq!(every, r#"{"join":{"of":[{"every":{"name":"a.b","version":1}}]}}"#);
        assert_eq!(list, r#"{"each":[{"name":"a.b","version":1},{"name":"a.b","version":1}]}"#);
        let role = |text: &str| serde_json::from_str::<Role>(text).unwrap_err().to_string();
        assert!(role(&each).contains("unknown variant `each`"), "{}", role(&each));
        assert!(role(&every).contains("unknown variant `every`"), "{}", role(&every));
        let refused = serde_json::from_str::<Emission>(&list).unwrap_err();
        assert!(refused.to_string().contains("unknown variant `each`"), "{refused}");
    }

    #[test]
    fn what_a_newer_service_adds_is_ignored_and_what_an_older_one_leaves_out_is_empty() {
        let newer = GOLDEN.replacen("\"schema\": 1,", "\"schema\": 1, \"colour\": \"red\",", 1);
        assert!(serde_json::from_str::<Declaration>(&newer).is_ok());
        let older = r#"{ "schema": 1, "manifest": { "service": "till", "entries": [], "reactions": [] } }"#;
        let older: Declaration = serde_json::from_str(older).unwrap();
        assert_eq!((older.sagas.len(), older.settings), (0, Settings::default()));
    }
}
