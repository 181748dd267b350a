//! The JSON API, the live updates and the dashboard, on one router.

mod choreography;
mod dead_letters;
mod events;
mod redrives;
mod sagas;
mod system;

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    middleware,
    routing::get,
};
use pavane_observe::{Error, audit::Because};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use web::{FieldError, Problem};

use crate::{
    Monitor,
    access::{self, Person},
    assets, health, metrics,
};

/// The largest body of a request.
const BODY_MAX: usize = 256 * 1024;
/// The dashboard's addresses; `assets/app.js` knows what each shows.
const PAGES: [&str; 6] = ["/", "/sagas", "/sagas/{saga}", "/choreography", "/dead-letters", "/stuck"];

#[derive(OpenApi)]
#[openapi(
    info(title = "Saga monitor", description = "Where every saga is, what it waits for and from whom."),
    components(schemas(crate::live::Beat, pavane_observe::report::ItemState))
)]
struct Description;

/// The routes of operators' probes and Prometheus.
pub(crate) fn operators() -> OpenApiRouter<Monitor> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// All routes; the [operators'](operators) too, unless they have a port of their own.
pub(crate) fn router(monitor: Monitor, operators: OpenApiRouter<Monitor>) -> Router {
    let (mut router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(system::overview))
        .routes(routes!(system::access))
        .routes(routes!(system::live))
        .routes(routes!(sagas::list))
        .routes(routes!(sagas::show))
        .routes(routes!(sagas::test_case))
        .routes(routes!(sagas::resolve))
        .routes(routes!(sagas::stuck))
        .routes(routes!(sagas::questions))
        .routes(routes!(events::show))
        .routes(routes!(events::reveal))
        .routes(routes!(choreography::graph))
        .routes(routes!(choreography::flow))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::reveal))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(redrives::preflight))
        .routes(routes!(redrives::list, redrives::start))
        .routes(routes!(redrives::show))
        .routes(routes!(redrives::cancel))
        .routes(routes!(redrives::retry_undo))
        .merge(operators)
        .split_for_parts();
    access::describe(&mut description);
    for page in PAGES {
        router = router.route(page, get(assets::page));
    }
    router
        .route("/assets/{*path}", get(assets::asset))
        .route("/openapi.json", get(async move || Json(description)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(monitor.clone(), access::guard))
        .layer(middleware::from_fn(assets::secured))
        .with_state(monitor)
}

fn unreadable_query(rejection: &QueryRejection) -> Problem {
    Problem::bad_request("query", rejection.body_text())
}

fn unreadable_path(rejection: &PathRejection) -> Problem {
    Problem::bad_request("path", rejection.body_text())
}

fn unreadable_body(rejection: &JsonRejection) -> Problem {
    Problem::new(rejection.status(), "the body can't be read").naming(FieldError::new("body", rejection.body_text()))
}

/// Who decides, and why. A reason is required.
fn because(person: Person, reason: &str) -> Result<Because, Problem> {
    Because::new(person.name, reason).map_err(|error| Problem::bad_request("reason", error))
}

/// A failure at the broker.
fn failed(error: &Error) -> Problem {
    use axum::http::StatusCode;
    match error {
        Error::NoDeadLetter(_) => Problem::new(StatusCode::NOT_FOUND, error),
        Error::Unaccountable => Problem::bad_request("reason", error),
        Error::Bus(_) | Error::NotKept(_) | Error::NotRedriven(_) => {
            tracing::error!(%error, "failed to answer a request");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the broker can't be used right now: {error}"))
        }
        _ => Problem::internal(error),
    }
}
