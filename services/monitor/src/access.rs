//! Who may act.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use pavane::ops::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Monitor, Settings};

/// What somebody may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Nobody may act: the monitor has no token.
    ReadOnly,
    /// Whoever shows the token may act.
    TokenNeeded,
    /// The token that was shown is another one.
    TokenWrong,
    /// Everything.
    Granted,
}

impl Access {
    pub(crate) fn of(settings: &Settings, headers: &HeaderMap) -> Self {
        let Some(token) = &settings.token else { return Self::ReadOnly };
        match headers.get(header::AUTHORIZATION).map(bearer) {
            None => Self::TokenNeeded,
            Some(Some(shown)) if token.is(shown) => Self::Granted,
            Some(_) => Self::TokenWrong,
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A request of somebody who may act: a handler that takes it runs for nobody else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MayAct;

impl FromRequestParts<Monitor> for MayAct {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, monitor: &Monitor) -> Result<Self, Problem> {
        match Access::of(&monitor.settings, &parts.headers) {
            Access::Granted => Ok(Self),
            Access::ReadOnly => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "this monitor only shows: it was started without MONITOR_TOKEN",
            )),
            Access::TokenNeeded => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "only who has the monitor's token may do this: show it as `authorization: Bearer …`",
            )),
            Access::TokenWrong => Err(Problem::new(StatusCode::UNAUTHORIZED, "that is not the monitor's token")),
        }
    }
}
