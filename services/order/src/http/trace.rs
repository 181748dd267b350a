use axum::http::HeaderMap;
use pavane::contract::{TraceContext, codec::header};

/// Longest `tracestate` carried on. W3C Trace Context, section 3.3.1.5, wants at least this.
const STATE_MAX: usize = 512;

/// The trace that a request belongs to. A context that can't be read starts a new one, as the specification has it.
///
/// See <https://www.w3.org/TR/trace-context/>.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceContext> {
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
        assert_eq!(of(&headers), None);
        headers.append(header::TRACE_PARENT, HeaderValue::from_static(VALID));
        headers.append(header::TRACE_STATE, HeaderValue::from_static("b=2"));
        let expected = TraceContext { parent: VALID.to_owned(), state: Some("a=1,b=2".to_owned()) };
        assert_eq!(of(&headers), Some(expected));
        headers.append(header::TRACE_PARENT, HeaderValue::from_static(VALID));
        assert_eq!(of(&headers), None);
    }
}
