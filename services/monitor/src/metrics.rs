//! What only the monitor knows, as Prometheus reads it. docs/operations.md explains each.

use std::{collections::BTreeMap, fmt::Display};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use pavane_observe::{
    LetterFilter, View,
    report::{Flow, Histogram, Metrics},
};

use crate::Monitor;

const SAGAS: &str = "pavane_sagas";
const SAGAS_ENDED: &str = "pavane_sagas_ended_total";
const SAGA_SECONDS: &str = "pavane_saga_seconds";
const SAGAS_STUCK: &str = "pavane_sagas_stuck";
const CONSUMER_PENDING: &str = "pavane_consumer_pending";
const DEAD_LETTERS: &str = "pavane_dead_letters";
const EVENTS: &str = "pavane_monitor_events_total";
const BEHIND: &str = "pavane_monitor_behind";
/// Prometheus's text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that Prometheus asks for.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(monitor): State<Monitor>) -> Response {
    let text = text(&*monitor.observer.view().await);
    ([(header::CONTENT_TYPE, TEXT)], text).into_response()
}

fn text(view: &View) -> String {
    let (metrics, flow) = (view.metrics(), view.flow());
    let mut page = Page::default();
    sagas(&mut page, &metrics);
    reactions(&mut page, view, &flow);
    page.family(EVENTS, "counter", "events that the monitor has read");
    page.sample(EVENTS, &[], view.overview().events);
    page.family(BEHIND, "gauge", "events that the monitor has not read yet");
    page.sample(BEHIND, &[], metrics.behind);
    page.0.concat()
}

fn sagas(page: &mut Page, metrics: &Metrics) {
    page.family(SAGAS, "gauge", "sagas in view, by state");
    for (state, count) in &metrics.sagas {
        page.sample(SAGAS, &[("state", state.as_str())], *count);
    }
    page.family(SAGAS_ENDED, "counter", "sagas that ended");
    page.sample(SAGAS_ENDED, &[("state", "completed")], metrics.completed_total);
    page.sample(SAGAS_ENDED, &[("state", "compensated")], metrics.compensated_total);
    page.family(SAGA_SECONDS, "histogram", "seconds from a saga's first event to its end");
    page.histogram(SAGA_SECONDS, &[("state", "completed")], &metrics.completed_seconds);
    page.histogram(SAGA_SECONDS, &[("state", "compensated")], &metrics.compensated_seconds);
    page.family(
        SAGAS_STUCK,
        "gauge",
        "sagas that have waited for longer than `stuck_after`, by the event that they wait for",
    );
    let mut stuck: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((service, reaction, awaited), count) in &metrics.stuck {
        // A reaction that answers nothing is awaited itself.
        let event = if awaited.is_empty() { reaction } else { awaited };
        *stuck.entry((service, event)).or_default() += count;
    }
    for ((service, event), count) in stuck {
        page.sample(SAGAS_STUCK, &[("service", service), ("event", event)], count);
    }
}

fn reactions(page: &mut Page, view: &View, flow: &Flow) {
    page.family(CONSUMER_PENDING, "gauge", "events that a reaction has not handled yet");
    for reaction in &flow.reactions {
        if let Some(consumer) = &reaction.consumer {
            let labels = [("service", reaction.service.as_str()), ("reaction", reaction.reaction.as_str())];
            page.sample(CONSUMER_PENDING, &labels, consumer.pending + consumer.in_flight);
        }
    }
    let declared = flow.reactions.iter().map(|it| ((it.service.clone(), it.reaction.clone()), 0));
    let mut letters: BTreeMap<(String, String), usize> = declared.collect();
    for group in view.dead_letter_groups(&LetterFilter::default()) {
        *letters.entry((group.service, group.reaction)).or_default() += group.count;
    }
    page.family(DEAD_LETTERS, "gauge", "dead letters that nobody has decided about");
    for ((service, reaction), count) in letters {
        page.sample(DEAD_LETTERS, &[("service", &service), ("reaction", &reaction)], count);
    }
}

/// A page of metrics that grows.
#[derive(Debug, Default)]
struct Page(Vec<String>);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push(format!("{name}{labels} {value}\n"));
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in &histogram.buckets {
            let bound = bound.to_string();
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), histogram.count);
        self.sample(&format!("{name}_sum"), labels, histogram.sum);
        self.sample(&format!("{name}_count"), labels, histogram.count);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
