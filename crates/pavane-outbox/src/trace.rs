//! Between the trace contexts that events carry and the spans of [`tracing`].
//!
//! An event carries the context of the span in which it was emitted, and its handling is a child of that span: one trace
//! from the request to the last undo, through outbox and broker. Without the feature `otel`, or when nothing exports
//! spans, a context is passed on unchanged.

use pavane_contract::TraceContext;
use tracing::Span;

/// The context that an event carries when it is emitted now: the current span's, or else the inherited one.
pub fn current(inherited: Option<&TraceContext>) -> Option<TraceContext> {
    exported().or_else(|| inherited.cloned())
}

/// Makes a new span a child of the one that a context names, and records the trace's id in its field `trace`.
pub fn follow(span: &Span, parent: Option<&TraceContext>) {
    if span.is_disabled() {
        return;
    }
    if let Some(parent) = parent {
        adopt(span, parent);
    }
    if let Some(context) = span.in_scope(|| current(parent)) {
        span.record("trace", context.trace_id());
    }
}

/// Sets attributes that are for an exporter only, because they would make log lines long.
pub fn describe<const N: usize>(span: &Span, attributes: impl FnOnce() -> [(&'static str, String); N]) {
    if !span.is_disabled() {
        set(span, attributes);
    }
}

#[cfg(not(feature = "otel"))]
const fn exported() -> Option<TraceContext> {
    None
}

#[cfg(not(feature = "otel"))]
const fn adopt(_span: &Span, _parent: &TraceContext) {}

#[cfg(not(feature = "otel"))]
fn set<const N: usize>(_span: &Span, _attributes: impl FnOnce() -> [(&'static str, String); N]) {}

#[cfg(feature = "otel")]
use otel::{adopt, exported, set};

#[cfg(feature = "otel")]
mod otel {
    use std::collections::HashMap;

    use opentelemetry::{Context, propagation::TextMapPropagator as _, trace::TraceContextExt as _};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use pavane_contract::{TraceContext, codec::header};
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    pub(super) fn exported() -> Option<TraceContext> {
        let span = Span::current();
        if span.is_disabled() {
            return None;
        }
        let mut headers = HashMap::new();
        // Injects nothing when the context isn't valid: no exporter knows the span.
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        let parent = headers.remove(header::TRACE_PARENT)?;
        let state = headers.remove(header::TRACE_STATE).filter(|state| !state.is_empty());
        Some(TraceContext { parent, state })
    }

    pub(super) fn adopt(span: &Span, parent: &TraceContext) {
        let context = context(parent);
        if context.span().span_context().is_valid() {
            // Fails only when nothing exports spans, or when the span has started, which it hasn't.
            drop(span.set_parent(context));
        }
    }

    pub(super) fn set<const N: usize>(span: &Span, attributes: impl FnOnce() -> [(&'static str, String); N]) {
        for (name, value) in attributes() {
            span.set_attribute(name, value);
        }
    }

    fn context(trace: &TraceContext) -> Context {
        let mut headers = HashMap::from([(header::TRACE_PARENT.to_owned(), trace.parent.clone())]);
        if let Some(state) = &trace.state {
            headers.insert(header::TRACE_STATE.to_owned(), state.clone());
        }
        // Not a child of the current span: a run handles events of many traces.
        TraceContextPropagator::new().extract_with_context(&Context::new(), &headers)
    }
}
