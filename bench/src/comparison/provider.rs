//! The baselines' client of the payment provider: the same requests under the same kind of keys as the payment service's.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use psp::wire::{CreateIntent, ErrorBody, Metadata, PaymentIntent, PaymentIntents};
use reqwest::{Client, RequestBuilder, StatusCode};

use super::order::{CURRENCY, Order};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const REQUIRES_CAPTURE: &str = "requires_capture";
/// Far longer than it ever takes here: what the provider does is known before anything else is done.
const PATIENCE: Duration = Duration::from_secs(30);

/// The payment provider, over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    http: Client,
    url: String,
}

impl Provider {
    pub(crate) fn at(url: String) -> Result<Self> {
        Ok(Self { http: Client::builder().timeout(PATIENCE).no_proxy().build()?, url })
    }

    /// Sets the order's amount aside; `None` when the card is declined.
    pub(crate) async fn authorize(&self, order: &Order) -> Result<Option<String>> {
        let intent = CreateIntent {
            amount: order.amount(),
            currency: CURRENCY.to_ascii_lowercase(),
            payment_method: order.card.clone(),
            capture_method: "manual".to_owned(),
            metadata: Metadata { order_id: order.id.clone() },
        };
        let request = self.http.post(format!("{}/v1/payment_intents", self.url)).json(&intent);
        Ok(self.ask(request, &format!("{}-authorize", order.id)).await?.map(|intent| intent.id))
    }

    /// Takes what was set aside.
    pub(crate) async fn capture(&self, order_id: &str, intent_id: &str) -> Result<()> {
        let request = self.http.post(format!("{}/v1/payment_intents/{intent_id}/capture", self.url));
        let captured = self.ask(request, &format!("{order_id}-capture")).await?;
        captured.map(drop).context("the capture was declined")
    }

    /// Gives up what was set aside.
    pub(crate) async fn cancel(&self, order_id: &str, intent_id: &str) -> Result<()> {
        let request = self.http.post(format!("{}/v1/payment_intents/{intent_id}/cancel", self.url));
        let cancelled = self.ask(request, &format!("{order_id}-cancel")).await?;
        cancelled.map(drop).context("the cancellation was declined")
    }

    /// What is set aside for an order: what to ask when nobody remembers.
    pub(crate) async fn open_intents(&self, order_id: &str) -> Result<Vec<String>> {
        let url = format!("{}/v1/payment_intents?order_id={order_id}", self.url);
        let found: PaymentIntents = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let open = found.data.into_iter().filter(|intent| intent.status == REQUIRES_CAPTURE);
        Ok(open.map(|intent| intent.id).collect())
    }

    /// `None` is the card's bank saying no. Asks again while an earlier request with the key is still being answered.
    async fn ask(&self, request: RequestBuilder, key: &str) -> Result<Option<PaymentIntent>> {
        const AGAIN: Duration = Duration::from_millis(20);
        loop {
            let again = request.try_clone().context("a request can't be repeated")?;
            let response = again.header(IDEMPOTENCY_KEY, key).send().await?;
            match response.status() {
                StatusCode::OK => return Ok(Some(response.json().await?)),
                StatusCode::PAYMENT_REQUIRED => return Ok(None),
                StatusCode::CONFLICT => tokio::time::sleep(AGAIN).await,
                status => {
                    let body: ErrorBody = response.json().await?;
                    bail!("the provider answers {status}: {}", body.error.message);
                }
            }
        }
    }
}
