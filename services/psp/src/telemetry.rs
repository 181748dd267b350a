//! The provider's metrics.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

const ANSWERS: &str = "psp_answers_total";
const REPLAYS: &str = "psp_replayed_answers_total";
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// A recorder of its own rather than the process's: the provider also runs inside the demo, beside services that have theirs.
pub(crate) struct Metrics(PrometheusRecorder);

impl Metrics {
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for (name, help) in [
            (ANSWERS, "Answers to commands, by operation and HTTP status."),
            (REPLAYS, "Answers to commands that had been given before, under the same idempotency key."),
        ] {
            recorder.describe_counter(KeyName::from_const_str(name), Some(Unit::Count), help.into());
        }
        Self(recorder)
    }

    pub(crate) fn answered(&self, operation: &'static str, status: u16, replayed: bool) {
        let labels = vec![Label::new("operation", operation), Label::new("status", status.to_string())];
        self.0.register_counter(&Key::from_parts(ANSWERS, labels), &METADATA).increment(1);
        if replayed {
            self.0.register_counter(&Key::from_name(REPLAYS), &METADATA).increment(1);
        }
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.0.handle().render()
    }
}
