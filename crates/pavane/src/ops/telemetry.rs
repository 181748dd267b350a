//! Logs to standard error, and traces to an OpenTelemetry collector.

use std::{env, ffi::OsStr, io, io::IsTerminal as _};

use tracing_subscriber::{EnvFilter, Layer as _, Registry, layer::SubscriberExt as _};

/// What a process has under way for those who watch it. Dropping it sends what is left: keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "dropped at once, it exports no traces"]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    exporter: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Writes logs to standard error: what `RUST_LOG` selects (`info` by default), as JSON when `LOG_FORMAT=json`.
/// In colours only on a terminal, and not there either where `NO_COLOR` is set (<https://no-color.org>).
///
/// With the feature `otel`, and when `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) is set, spans
/// go there as OTLP over HTTP, in the name of `OTEL_SERVICE_NAME` or else the program's own: see
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.
///
/// Does nothing when the process has a subscriber already.
///
/// # Errors
///
/// When no traces can be sent where that setting says: for `https://…` the feature `tls` is needed, and certificates that the system
/// trusts. Logs are written all the same.
pub fn init_tracing() -> io::Result<Telemetry> {
    init_tracing_at("info,sqlx=warn")
}

/// As [`init_tracing`], with another selection than `info` when `RUST_LOG` isn't set.
///
/// # Errors
///
/// As [`init_tracing`].
pub fn init_tracing_at(default: &str) -> io::Result<Telemetry> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(in_colours(io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref()));
    let lines = if env::var("LOG_FORMAT").is_ok_and(|format| format == "json") {
        lines.json().with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    install(Registry::default().with(lines))
}

/// Escape sequences are noise in a file and in what collects logs.
fn in_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(not(feature = "otel"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature `otel`")]
fn install(subscriber: impl tracing_subscriber::util::SubscriberInitExt) -> io::Result<Telemetry> {
    // Somebody else's subscriber is as good as ours.
    drop(subscriber.try_init());
    Ok(Telemetry {})
}

#[cfg(feature = "otel")]
use otel::install;

#[cfg(feature = "otel")]
mod otel {
    use std::{io, path::Path};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
    use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
    use tracing::{Subscriber, error};
    use tracing_subscriber::{
        Layer as _, filter::LevelFilter, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
    };

    use super::Telemetry;
    use crate::ops::collector::{Collector, Endpoint};

    pub(super) fn install<S>(subscriber: S) -> io::Result<Telemetry>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
    {
        match Endpoint::from_env().map(|endpoint| exporter(&endpoint)).transpose() {
            Ok(Some(exporter)) => {
                let spans = tracing_opentelemetry::layer()
                    .with_tracer(exporter.tracer("pavane"))
                    .with_location(false)
                    .with_threads(false)
                    .with_filter(LevelFilter::INFO);
                drop(subscriber.with(spans).try_init());
                Ok(Telemetry { exporter: Some(exporter) })
            }
            Ok(None) => {
                drop(subscriber.try_init());
                Ok(Telemetry { exporter: None })
            }
            Err(error) => {
                // The caller can log the error.
                drop(subscriber.try_init());
                Err(error)
            }
        }
    }

    fn exporter(endpoint: &Endpoint) -> io::Result<SdkTracerProvider> {
        let http = SpanExporter::builder().with_http().with_http_client(Collector::at(endpoint)?);
        let spans = http.with_protocol(Protocol::HttpBinary).build().map_err(io::Error::other)?;
        Ok(SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource()).build())
    }

    fn resource() -> Resource {
        let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty());
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_stem).and_then(|name| name.to_str().map(str::to_owned));
        match program {
            Some(program) if !named => Resource::builder().with_service_name(program).build(),
            _ => Resource::builder().build(),
        }
    }

    impl Drop for Telemetry {
        fn drop(&mut self) {
            if let Some(exporter) = &self.exporter
                && let Err(error) = exporter.shutdown()
            {
                error!(%error, "failed to send the last spans");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_whose_user_wants_them_gets_colours() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some("1"), false),
        ] {
            assert_eq!(in_colours(is_terminal, no_color.map(OsStr::new)), expected, "{is_terminal} {no_color:?}");
        }
    }
}
