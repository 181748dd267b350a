//! The way to an OpenTelemetry collector: which one, and an HTTP client that takes spans there.
//!
//! The client is hyper's own. That of `opentelemetry-otlp` is reqwest, whose TLS comes with aws-lc.

use std::{
    env,
    fmt::Display,
    future::{Future, ready},
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, Uri, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use pavane_outbox::chain;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::timeout,
};
use tracing::{info, warn};

/// Where spans go, as a setting says.
#[derive(Debug)]
pub(super) struct Endpoint {
    setting: &'static str,
    url: String,
}

impl Endpoint {
    /// None where no setting names one: an exporter that nobody asked for would try a collector on this machine again and again.
    pub(super) fn from_env() -> Option<Self> {
        [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT].into_iter().find_map(|setting| {
            let url = env::var(setting).ok().filter(|url| !url.is_empty())?;
            Some(Self { setting, url })
        })
    }

    /// Whether it speaks TLS; or why nothing can be sent there.
    fn speaks_tls(&self, tls_is_compiled_in: bool) -> io::Result<bool> {
        let uri = self.url.parse::<Uri>().ok();
        let why = match uri.as_ref().and_then(Uri::scheme_str) {
            Some("http") => return Ok(false),
            Some("https") if tls_is_compiled_in => return Ok(true),
            Some("https") => "compile pavane with its feature `tls`, or use http://host:4318",
            _ => "use http://host:4318, or https://host:4318",
        };
        Err(self.unusable(why))
    }

    fn unusable(&self, why: impl Display) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} = {:?} can't be used: {why}", self.setting, self.url))
    }
}

/// Takes spans to a collector. Made for the exporter's own thread, which waits for each answer and has no runtime.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
    is_failing: AtomicBool,
    handle: Handle,
    /// Drives connections between requests, too, so that one that the collector closed isn't used again.
    runtime: Option<Runtime>,
}

impl Collector {
    pub(super) fn at(endpoint: &Endpoint) -> io::Result<Self> {
        let speaks_tls = endpoint.speaks_tls(cfg!(feature = "tls"))?;
        let connector = connector(speaks_tls).map_err(|error| {
            endpoint.unusable(format_args!("{error}; install ca-certificates, or name a PEM file in SSL_CERT_FILE"))
        })?;
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build()?;
        let (timeout, handle) = (time_limit(), runtime.handle().clone());
        Ok(Self { client, timeout, is_failing: AtomicBool::new(false), handle, runtime: Some(runtime) })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let (parts, body) = self.client.request(request.map(Full::new)).await?.into_parts();
            Ok::<_, HttpError>(Response::from_parts(parts, body.collect().await?.to_bytes()))
        };
        let answer = self.handle.block_on(async { timeout(self.timeout, exchange).await? });
        // The exporter says nothing, and would say the same of each batch.
        match (&answer, self.is_failing.swap(answer.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => warn!(error = chain(&**error), "spans get lost: the collector can't be reached"),
            (Ok(_), true) => info!("spans are sent again: the collector answers"),
            (Err(_), true) | (Ok(_), false) => {}
        }
        answer
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(ready(self.send(request)))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may be dropped where nothing may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn time_limit() -> Duration {
    [OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]
        .into_iter()
        .find_map(|setting| env::var(setting).ok()?.parse().ok())
        .map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
}

#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

#[cfg(feature = "tls")]
fn connector(speaks_tls: bool) -> io::Result<Connector> {
    use std::sync::Arc;

    use hyper_rustls::ConfigBuilderExt as _;
    use rustls::{ClientConfig, RootCertStore, crypto::ring};

    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // Without TLS nothing is asked of the system's certificates, which may not be there.
    let tls = if speaks_tls { tls.with_native_roots()? } else { tls.with_root_certificates(RootCertStore::empty()) };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    Ok((http, tls.with_no_client_auth()).into())
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
fn connector(_: bool) -> io::Result<Connector> {
    Ok(HttpConnector::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_nothing_can_be_sent_to_is_refused_with_what_would_work() {
        let speaks_tls = |url: &str, compiled_in| {
            let endpoint = Endpoint { setting: OTEL_EXPORTER_OTLP_ENDPOINT, url: url.to_owned() };
            endpoint.speaks_tls(compiled_in).map_err(|error| error.to_string())
        };
        for compiled_in in [true, false] {
            assert_eq!(speaks_tls("http://collector:4318", compiled_in), Ok(false));
            for url in ["collector", "collector:4318", "grpc://collector:4317", "://"] {
                let refused = speaks_tls(url, compiled_in).unwrap_err();
                assert!(refused.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT = ") && refused.contains(url), "{refused}");
            }
        }
        assert_eq!(speaks_tls("https://collector:4318", true), Ok(true));
        assert_eq!(
            speaks_tls("https://collector:4318", false).unwrap_err(),
            "OTEL_EXPORTER_OTLP_ENDPOINT = \"https://collector:4318\" can't be used: compile pavane with its feature \
             `tls`, or use http://host:4318"
        );
    }
}
