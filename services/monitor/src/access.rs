//! Who may read, and who may act.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use pavane::contract::{Clock as _, SystemClock};
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};
use web::{Problem, may_answer};

use crate::{Monitor, Settings};

/// What a visitor may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Read, and nothing else.
    ReadOnly,
    /// Nothing without a token.
    TokenNeeded,
    /// The token is no known one.
    TokenWrong,
    /// Everything.
    Granted,
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Visitor {
    /// What they may do.
    access: Access,
    /// Whether they may read.
    may_read: bool,
    /// The name of the token's owner.
    name: Option<String>,
}

impl Visitor {
    fn of(settings: &Settings, headers: &HeaderMap) -> Self {
        let open = settings.open;
        let visitor = |access, may_read| Self { access, may_read, name: None };
        let Some(shown) = headers.get(header::AUTHORIZATION) else {
            let nobody_acts = open && settings.people.is_empty();
            return visitor(if nobody_acts { Access::ReadOnly } else { Access::TokenNeeded }, open);
        };
        let shown = bearer(shown).unwrap_or_default();
        // All tokens are compared, so that the time that it takes does not tell which matched.
        let person = settings.people.iter().fold(
            None,
            |found, (name, token)| {
                if token.is(shown) { Some(name.clone()) } else { found }
            },
        );
        let reads = settings.read_token.as_ref().is_some_and(|token| token.is(shown));
        match person {
            Some(name) => Self { access: Access::Granted, may_read: true, name: Some(name) },
            None if reads => visitor(Access::ReadOnly, true),
            None => visitor(Access::TokenWrong, open),
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What may be requested without a token and under any name: it has nothing about sagas, and Prometheus and probes use other
/// names.
const PUBLIC: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Everything below requires the right to read.
const API: &str = "/api/";
/// Except this: how a page finds out what it may do.
const ACCESS: &str = "/api/access";

/// Lets a request in if its `Host` is a name of the monitor's, and if its sender may read what it asks for.
pub(crate) async fn guard(State(monitor): State<Monitor>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if PUBLIC.contains(&path) {
        return next.run(request).await;
    }
    if !is_ours(&monitor.settings, request.headers()) {
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the monitor is not known by this name; its operator can add the name to MONITOR_HOSTS",
        )
        .into_response();
    }
    if !path.starts_with(API) {
        return next.run(request).await;
    }
    let (peer, now) = (peer(&request), SystemClock.now().as_second());
    if request.headers().contains_key(header::AUTHORIZATION)
        && let Some(seconds) = monitor.attempts.barred(peer, now)
    {
        return too_many(seconds);
    }
    let visitor = Visitor::of(&monitor.settings, request.headers());
    if visitor.access == Access::TokenWrong {
        monitor.attempts.failed(peer, now);
    }
    if path != ACCESS && !visitor.may_read {
        return refused(&visitor).into_response();
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// Adds to the API's description what [`guard`] answers.
pub(crate) fn describe(api: &mut OpenApi) {
    let (guarded, api_only) = (|path: &str| !PUBLIC.contains(&path), |path: &str| path.starts_with(API));
    may_answer(api, StatusCode::MISDIRECTED_REQUEST, "The monitor is not known by this name", guarded);
    may_answer(api, StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens came from this address", api_only);
    let reads = |path: &str| api_only(path) && path != ACCESS;
    may_answer(api, StatusCode::UNAUTHORIZED, "This needs a token, or the token is nobody's", reads);
}

/// A page elsewhere can have its own name point here, and a browser then lets it read what the monitor answers; but the
/// browser says the name (DNS rebinding).
fn is_ours(settings: &Settings, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let port = host.rfind(':').filter(|at| !host[*at..].contains(']'));
    let name = host[..port.unwrap_or(host.len())].to_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].contains(&name.as_str()) || settings.hosts.contains(&name)
}

/// The address of a request's sender.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())
}

fn too_many(seconds: i64) -> Response {
    let why = format!("too many wrong tokens came from this address; try again in {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, why);
    ([(header::RETRY_AFTER, seconds.to_string())], problem).into_response()
}

fn refused(visitor: &Visitor) -> Problem {
    match visitor.access {
        Access::TokenWrong => Problem::new(StatusCode::UNAUTHORIZED, "that is nobody's token"),
        Access::ReadOnly => Problem::new(StatusCode::FORBIDDEN, "a token to read can't do this"),
        Access::TokenNeeded | Access::Granted => {
            Problem::new(StatusCode::UNAUTHORIZED, "this needs a token: show it as `authorization: Bearer …`")
        }
    }
}

/// Who sends this request.
impl FromRequestParts<Monitor> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, monitor: &Monitor) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::of(&monitor.settings, &parts.headers)))
    }
}

/// A person who may act: a handler with this argument runs for no other visitor.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The name under which decisions are recorded.
    pub(crate) name: String,
}

impl FromRequestParts<Monitor> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, monitor: &Monitor) -> Result<Self, Problem> {
        let visitor = Visitor::from_request_parts(parts, monitor).await?;
        match (visitor.access, visitor.name.clone()) {
            (Access::Granted, Some(name)) => Ok(Self { name }),
            _ => Err(refused(&visitor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    #[test]
    fn what_a_token_opens() {
        let token = |text: &str| Token::new(text).unwrap();
        let closed = Settings::default().with_read_token(token("the-reading-token"));
        let closed = closed.with_person("anna", token("the-token-of-anna")).unwrap();
        let open = closed.clone().opened();
        for (shown, access, name, reads, reads_if_open) in [
            (None, Access::TokenNeeded, None, false, true),
            (Some("Bearer the-reading-token"), Access::ReadOnly, None, true, true),
            (Some("bearer the-token-of-anna"), Access::Granted, Some("anna"), true, true),
            (Some("Bearer the-token-of-ben!"), Access::TokenWrong, None, false, true),
            (Some("Basic the-token-of-anna"), Access::TokenWrong, None, false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(shown.map(|shown| (header::AUTHORIZATION, HeaderValue::from_static(shown))));
            for (settings, may_read) in [(&closed, reads), (&open, reads_if_open)] {
                let expected = Visitor { access, may_read, name: name.map(str::to_owned) };
                assert_eq!(Visitor::of(settings, &headers), expected, "{shown:?}");
            }
        }
        assert_eq!(Visitor::of(&Settings::default().opened(), &HeaderMap::new()).access, Access::ReadOnly);
    }

    #[test]
    fn only_names_of_ours_are_answered() {
        let settings = Settings { hosts: vec!["monitor.shop.example".to_owned()], ..Settings::default() };
        for (host, expected) in [
            ("127.0.0.1:4000", true),
            ("localhost", true),
            ("LocalHost:80", true),
            ("[::1]:4000", true),
            ("[::1]", true),
            ("monitor.shop.example", true),
            ("evil.example:4000", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_ours(&settings, &headers), expected, "{host:?}");
        }
        assert!(!is_ours(&settings, &HeaderMap::new()));
    }
}
