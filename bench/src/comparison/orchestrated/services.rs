//! The services that the orchestrator calls.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::store;
use crate::comparison::{databases::Databases, order::Order, provider::Provider};

/// Something that a service does for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    Authorize,
    Reserve,
    CreateShipment,
    Capture,
    TakeOut,
    Dispatch,
    Void,
    Release,
}

impl Step {
    /// As in the path of a request.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Reserve => "reserve",
            Self::CreateShipment => "create-shipment",
            Self::Capture => "capture",
            Self::TakeOut => "take-out",
            Self::Dispatch => "dispatch",
            Self::Void => "void",
            Self::Release => "release",
        }
    }
}

/// What a service is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) order: Order,
    /// What the provider calls the payment, once it has a name.
    pub(super) intent_id: Option<String>,
}

/// What a service answers: the same again when it is asked again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Whether it is done; a "no" is final.
    pub(super) yes: bool,
    pub(super) intent_id: Option<String>,
}

/// All the services, with a database each.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) databases: Databases,
    pub(crate) provider: Provider,
}

impl Services {
    async fn perform(&self, step: Step, Call { order, intent_id }: Call) -> Result<Answer> {
        let Databases { payment, inventory, shipping, .. } = &self.databases;
        let intent = || intent_id.as_deref().context("nothing was authorised");
        match step {
            Step::Authorize => {
                let intent_id = self.provider.authorize(&order).await?;
                if let Some(intent_id) = &intent_id {
                    store::authorized(payment, &order, intent_id).await?;
                }
                return Ok(Answer { yes: intent_id.is_some(), intent_id });
            }
            Step::Reserve => return Ok(Answer { yes: store::reserve(inventory, &order).await?, intent_id: None }),
            Step::CreateShipment => store::create_shipment(shipping, &order).await?,
            Step::Capture => {
                self.provider.capture(&order.id, intent()?).await?;
                store::captured(payment, &order.id).await?;
            }
            Step::TakeOut => store::take_out(inventory, &order.id).await?,
            Step::Dispatch => store::dispatch(shipping, &order.id).await?,
            Step::Void => {
                self.provider.cancel(&order.id, intent()?).await?;
                store::voided(payment, &order.id).await?;
            }
            Step::Release => store::release(inventory, &order.id).await?,
        }
        Ok(Answer { yes: true, intent_id: None })
    }
}

/// Answers requests until the process ends.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(listener: TcpListener, services: Services) -> Result<()> {
    let router = Router::new()
        .route("/steps/{step}", post(perform))
        .route("/readyz", get(async || "ready"))
        .with_state(Arc::new(services));
    axum::serve(listener, router).await.context("the listener failed")
}

async fn perform(
    State(services): State<Arc<Services>>,
    Path(step): Path<Step>,
    Json(call): Json<Call>,
) -> Result<Json<Answer>, StatusCode> {
    // In a task of its own: a caller that dies must not stop a step half way.
    let performed = tokio::spawn(async move { services.perform(step, call).await }).await;
    performed.map_err(anyhow::Error::from).flatten().map(Json).map_err(|error| {
        tracing::warn!("a step failed: {error:#}");
        StatusCode::SERVICE_UNAVAILABLE
    })
}
