//! One request and the whole answer to it, over HTTP/1.1; with TLS where the URL says `https`, by rustls on ring.
//!
//! hyper's own client. reqwest's TLS comes with aws-lc, and what speaks TLS here is one implementation.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{StatusCode, request},
};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::time::timeout;

/// Why there is no answer.
pub(super) type Error = Box<dyn StdError + Send + Sync>;

/// Follows no redirects, and goes through no proxy: the provider is where `PSP_URL` says.
#[derive(Debug, Clone)]
pub(super) struct Https(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Https {
    /// With TLS, a server must have a certificate that the system trusts, or one of those in `SSL_CERT_FILE`.
    pub(super) fn new(speaks_tls: bool) -> io::Result<Self> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        // Without TLS nothing is asked of the system's certificates, which may not be there.
        let tls =
            if speaks_tls { tls.with_native_roots()? } else { tls.with_root_certificates(RootCertStore::empty()) };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        Ok(Self(client.pool_timer(TokioTimer::new()).build((http, tls.with_no_client_auth()).into())))
    }

    pub(super) async fn send(
        &self,
        request: request::Builder,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), Error> {
        let request = request.body(body.into())?;
        let exchange = async {
            let response = self.0.request(request).await?;
            Ok::<_, Error>((response.status(), response.into_body().collect().await?.to_bytes()))
        };
        timeout(patience, exchange).await?
    }
}
