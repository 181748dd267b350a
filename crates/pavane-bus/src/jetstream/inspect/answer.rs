//! The server's answers, as far as they are read here.

use std::time::Duration;

use pavane_contract::Timestamp;
use serde::Deserialize;

use super::{ConsumerReport, Position, StreamReport};

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) storage: u64,
    pub(super) streams: u64,
    pub(super) consumers: u64,
    pub(super) limits: AccountLimits,
}

#[derive(Deserialize)]
pub(super) struct AccountLimits {
    pub(super) max_storage: i64,
}

#[derive(Deserialize)]
pub(super) struct StreamInfo {
    #[serde(default)]
    ts: Option<Timestamp>,
    created: Timestamp,
    config: StreamConfig,
    state: StreamState,
}

#[derive(Deserialize)]
pub(super) struct StreamConfig {
    name: String,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    max_age: u64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    duplicate_window: u64,
    #[serde(default)]
    num_replicas: usize,
    #[serde(default)]
    storage: String,
    #[serde(default)]
    retention: String,
    #[serde(default)]
    discard: String,
}

#[derive(Deserialize)]
pub(super) struct StreamState {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
}

impl From<StreamInfo> for StreamReport {
    fn from(StreamInfo { ts, created, config, state }: StreamInfo) -> Self {
        Self {
            name: config.name,
            at: ts,
            created,
            subjects: config.subjects,
            messages: state.messages,
            bytes: state.bytes,
            first_sequence: state.first_seq,
            last_sequence: state.last_seq,
            max_age: Duration::from_nanos(config.max_age),
            max_bytes: positive(config.max_bytes),
            duplicate_window: Duration::from_nanos(config.duplicate_window),
            replicas: config.num_replicas,
            storage: config.storage,
            retention: config.retention,
            discard: config.discard,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Consumers {
    #[serde(default)]
    pub(super) total: usize,
    #[serde(default)]
    pub(super) consumers: Vec<ConsumerInfo>,
}

#[derive(Deserialize)]
pub(super) struct ConsumerInfo {
    name: String,
    #[serde(default)]
    ts: Option<Timestamp>,
    created: Timestamp,
    config: ConsumerSettings,
    delivered: Sequences,
    ack_floor: Sequences,
    num_pending: u64,
    num_ack_pending: u64,
    num_redelivered: u64,
    #[serde(default)]
    num_waiting: u64,
    #[serde(default)]
    paused: bool,
}

#[derive(Deserialize)]
pub(super) struct ConsumerSettings {
    #[serde(default)]
    durable_name: Option<String>,
    #[serde(default)]
    filter_subject: String,
    #[serde(default)]
    filter_subjects: Vec<String>,
    #[serde(default)]
    ack_wait: u64,
    #[serde(default)]
    max_ack_pending: i64,
    #[serde(default)]
    max_deliver: i64,
    #[serde(default)]
    ack_policy: String,
    #[serde(default)]
    deliver_policy: String,
}

#[derive(Deserialize)]
pub(super) struct Sequences {
    stream_seq: u64,
    #[serde(default)]
    last_active: Option<Timestamp>,
}

impl From<Sequences> for Position {
    fn from(sequences: Sequences) -> Self {
        Self { sequence: sequences.stream_seq, active: sequences.last_active }
    }
}

impl From<ConsumerInfo> for ConsumerReport {
    fn from(info: ConsumerInfo) -> Self {
        let config = info.config;
        let mut filters = config.filter_subjects;
        filters.extend((!config.filter_subject.is_empty()).then_some(config.filter_subject));
        filters.sort();
        Self {
            name: info.name,
            durable: config.durable_name.is_some(),
            at: info.ts,
            created: info.created,
            filters,
            ack_wait: Duration::from_nanos(config.ack_wait),
            max_ack_pending: positive(config.max_ack_pending),
            max_deliver: positive(config.max_deliver),
            ack_policy: config.ack_policy,
            deliver_policy: config.deliver_policy,
            delivered: info.delivered.into(),
            settled: info.ack_floor.into(),
            pending: info.num_pending,
            in_flight: info.num_ack_pending,
            redelivered: info.num_redelivered,
            waiting_pulls: info.num_waiting,
            paused: info.paused,
        }
    }
}

/// Zero and below mean no limit.
fn positive(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

#[derive(Deserialize)]
pub(super) struct Deleted {
    pub(super) success: bool,
}
