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
pub fn init_tracing() -> Telemetry {
    init_tracing_at("info,sqlx=warn")
}

/// As [`init_tracing`], with another selection than `info` when `RUST_LOG` isn't set.
pub fn init_tracing_at(default: &str) -> Telemetry {
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
fn install(subscriber: impl tracing_subscriber::util::SubscriberInitExt) -> Telemetry {
    // Somebody else's subscriber is as good as ours.
    drop(subscriber.try_init());
    Telemetry {}
}

#[cfg(feature = "otel")]
use otel::install;

#[cfg(feature = "otel")]
mod otel {
    use std::path::Path;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
    use tracing::{Subscriber, error};
    use tracing_subscriber::{
        Layer as _, filter::LevelFilter, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
    };

    use super::Telemetry;

    pub(super) fn install<S>(subscriber: S) -> Telemetry
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
    {
        let exporter = if is_wanted() { exporter().map(Some) } else { Ok(None) };
        match exporter {
            Ok(Some(exporter)) => {
                let spans = tracing_opentelemetry::layer()
                    .with_tracer(exporter.tracer("pavane"))
                    .with_location(false)
                    .with_threads(false)
                    .with_filter(LevelFilter::INFO);
                drop(subscriber.with(spans).try_init());
                Telemetry { exporter: Some(exporter) }
            }
            Ok(None) => {
                drop(subscriber.try_init());
                Telemetry { exporter: None }
            }
            Err(error) => {
                drop(subscriber.try_init());
                error!(%error, "failed to set up the export of traces; going on without");
                Telemetry { exporter: None }
            }
        }
    }

    /// An exporter that nobody asked for would try a collector on this machine again and again.
    fn is_wanted() -> bool {
        ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
            .into_iter()
            .any(|name| std::env::var(name).is_ok_and(|endpoint| !endpoint.is_empty()))
    }

    fn exporter() -> Result<SdkTracerProvider, ExporterBuildError> {
        let spans = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
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
