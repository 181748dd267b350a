//! The payment provider, at the other end of a network that loses requests and answers.

use std::{net::TcpListener, sync::Arc};

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use pavane_testkit::{BoxError, Network, System};
use psp::{Faults, Psp, wire::Balances};

/// A provider that serves until its runtime ends.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    url: String,
}

impl Provider {
    /// Opens a provider with empty books.
    pub(crate) fn start(system: &System) -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (network, clock) = (system.network(), Arc::new(system.clock()));
        tokio::spawn(async move {
            let faults = Faults { slow: std::time::Duration::ZERO, hold: std::time::Duration::ZERO };
            let psp = Psp::open("sqlite::memory:", clock, faults).await.map_err(BoxError::from)?;
            let router = psp::router(&psp).layer(middleware::from_fn(move |request, next| {
                let network = network.clone();
                async move { unreliable(&network, request, next).await }
            }));
            axum::serve(listener, router).await.map_err(BoxError::from)
        });
        Ok(Self { url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The provider's books.
    pub(crate) async fn balance(&self) -> Result<Balances, BoxError> {
        let answer = reqwest::get(format!("{}/v1/balance", self.url)).await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

/// Commands get lost on their way, or their answers do.
async fn unreliable(network: &Network, request: Request, next: Next) -> Response {
    let is_command = request.method() == axum::http::Method::POST;
    if is_command && network.loses_request() {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    let answer = next.run(request).await;
    if is_command && network.loses_answer() { StatusCode::GATEWAY_TIMEOUT.into_response() } else { answer }
}
