//! Requests as spans, and the traces that they belong to.

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::Response,
};
use pavane_contract::{TraceContext, codec::header};
use pavane_outbox::trace;
use tracing::{Instrument as _, Span, field::Empty, info_span};

/// Longest `tracestate` carried on. W3C Trace Context, section 3.3.1.5, wants at least this.
const STATE_MAX: usize = 512;

/// What operators' probes ask for: no part of any trace.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Makes each request a span that goes on with the caller's trace. A saga that begins in it goes on with the span.
pub fn spans(router: Router) -> Router {
    router.layer(middleware::from_fn(in_a_span))
}

async fn in_a_span(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(path) = path.filter(|path| !PROBES.contains(&path.as_str())) else { return next.run(request).await };
    let span = info_span!(
        "request",
        otel.name = format!("{} {path}", request.method()),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        http.route = path,
        http.response.status_code = Empty,
        trace = Empty,
    );
    trace::follow(&span, trace_of(request.headers()).as_ref());
    let response = next.run(request).instrument(span.clone()).await;
    record(&span, response.status());
    response
}

fn record(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that a request belongs to. A context that can't be read starts a new one, as the specification has it.
///
/// See <https://www.w3.org/TR/trace-context/>.
pub fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(header::TRACE_PARENT).iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() || !is_valid(parent) {
        return None;
    }
    let states = headers.get_all(header::TRACE_STATE).iter().map(|state| state.to_str().ok());
    let state = states.collect::<Option<Vec<_>>>().map(|states| states.join(","));
    let state = state.filter(|state| (1..=STATE_MAX).contains(&state.len()));
    Some(TraceContext { parent: parent.to_owned(), state })
}

/// `version-traceid-parentid-flags`, lower-case hexadecimal; a version above 00 may go on after a dash.
fn is_valid(parent: &str) -> bool {
    let mut parts = parent.split('-');
    let mut hex = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
    };
    let (Some(version), Some(trace), Some(span), Some(_)) = (hex(2), hex(32), hex(16), hex(2)) else { return false };
    let is_set = |id: &str| id.bytes().any(|b| b != b'0');
    version != "ff" && is_set(trace) && is_set(span) && (version != "00" || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_valid_parent_is_carried_on() {
        for (parent, expected) in [
            (VALID, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
        ] {
            assert_eq!(is_valid(parent), expected, "{parent}");
        }
    }

    #[test]
    fn the_state_goes_with_the_parent() {
        let mut headers = HeaderMap::new();
        headers.append(header::TRACE_STATE, HeaderValue::from_static("a=1"));
        assert_eq!(trace_of(&headers), None);
        headers.append(header::TRACE_PARENT, HeaderValue::from_static(VALID));
        headers.append(header::TRACE_STATE, HeaderValue::from_static("b=2"));
        let expected = TraceContext { parent: VALID.to_owned(), state: Some("a=1,b=2".to_owned()) };
        assert_eq!(trace_of(&headers), Some(expected));
        headers.append(header::TRACE_PARENT, HeaderValue::from_static(VALID));
        assert_eq!(trace_of(&headers), None);
    }
}
