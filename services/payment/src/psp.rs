//! A client of the payment provider's API. One request per method; every retry is the framework's, under the same key.
//!
//! A failure comes as the framework's own [`HandlerError`], because only that says what is to be done about it:
//!
//! - a "no" of the card's bank, or to what the customer gave, is no failure but an answer;
//! - a provider that isn't there, is too slow or too busy is waited for;
//! - an answer that makes no sense here is asked for again a few times, and is then a person's matter.
//!
//! Nothing is ever *rejected*, for that would say that nothing was done. An earlier attempt may have been carried out and
//! its answer lost; only the provider's answer under the same key tells.

mod https;

use std::time::Duration;

use anyhow::Context as _;
use axum::http::{Request, StatusCode, header, request};
use contracts::{Money, OrderId};
use pavane::{HandlerError, any::Call, contract::Misfit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use crate::Settings;
use https::Https;

/// Header that names a request, however often it is sent.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const DECLINED: &str = "requires_payment_method";
const REQUIRES_CAPTURE: &str = "requires_capture";
const CANCELED: &str = "canceled";
const SUCCEEDED: &str = "succeeded";
const ALREADY_REFUNDED: &str = "charge_already_refunded";

/// The payment provider, at the other end of an unreliable network.
#[derive(Debug, Clone)]
pub struct PspClient {
    http: Https,
    url: Url,
    /// Longest wait for an answer.
    timeout: Duration,
}

/// What came of an authorisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// The amount is set aside.
    Authorized { intent_id: String },
    /// It isn't, and won't be.
    Declined { intent_id: Option<String>, reason: String },
}

/// What came of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Capture {
    /// The amount is charged.
    Captured,
    /// It isn't, and won't be.
    Failed { reason: String },
}

/// What came of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancellation {
    /// The amount is free again, now or since before.
    Canceled,
    /// Too late: the amount is charged.
    Captured,
}

impl PspClient {
    /// A client; connects with the first request.
    ///
    /// # Errors
    ///
    /// When a setting can't be used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let url = settings.checked_url()?;
        let http = Https::new(url.scheme() == "https").with_context(|| {
            format!(
                "PSP_URL = {:?} can't be used: install ca-certificates, or name a PEM file in SSL_CERT_FILE",
                url.as_str()
            )
        })?;
        Ok(Self { http, url, timeout: settings.psp_timeout })
    }

    /// Asks to set an amount aside on a card.
    pub(crate) async fn authorize(
        &self,
        call: &Call<'_>,
        order_id: OrderId,
        amount: &Money,
        card: &str,
    ) -> Result<Authorization, HandlerError> {
        let body = NewIntent {
            amount: amount.minor,
            currency: amount.currency.as_str().to_ascii_lowercase(),
            payment_method: card,
            capture_method: "manual",
            metadata: Metadata { order_id },
        };
        match self.post::<Intent>(call, &["payment_intents"], &body).await? {
            Ok(intent) if intent.status == REQUIRES_CAPTURE => Ok(Authorization::Authorized { intent_id: intent.id }),
            Ok(intent) => Err(HandlerError::transient(Error::Unexpected(intent))),
            // What the customer gave (the card, above all) is not what the provider takes: that is a "no" as well.
            Err(no) if no.is_declined() || no.param.is_some() => {
                let intent_id = no.payment_intent.map(|intent| intent.id);
                Ok(Authorization::Declined { intent_id, reason: no.message })
            }
            Err(no) => Err(HandlerError::transient(Error::Refused(no))),
        }
    }

    /// Asks to charge what was set aside.
    pub(crate) async fn capture(&self, call: &Call<'_>, intent_id: &str) -> Result<Capture, HandlerError> {
        match self.post::<Intent>(call, &["payment_intents", intent_id, "capture"], &Empty {}).await? {
            Ok(intent) if intent.status == SUCCEEDED => Ok(Capture::Captured),
            Ok(intent) => Err(HandlerError::transient(Error::Unexpected(intent))),
            Err(no) if no.found_it(SUCCEEDED) => Ok(Capture::Captured),
            Err(no) if no.is_declined() || no.found_it(CANCELED) => Ok(Capture::Failed { reason: no.message }),
            Err(no) => Err(HandlerError::transient(Error::Refused(no))),
        }
    }

    /// Asks to set free what was set aside. The provider decides between this and a capture under way: the second
    /// one is refused, with the state that the first one left.
    pub(crate) async fn cancel(&self, call: &Call<'_>, intent_id: &str) -> Result<Cancellation, HandlerError> {
        match self.post::<Intent>(call, &["payment_intents", intent_id, "cancel"], &Empty {}).await? {
            Ok(intent) if intent.status == CANCELED => Ok(Cancellation::Canceled),
            Ok(intent) => Err(HandlerError::transient(Error::Unexpected(intent))),
            Err(no) if no.found_it(CANCELED) => Ok(Cancellation::Canceled),
            Err(no) if no.found_it(SUCCEEDED) => Ok(Cancellation::Captured),
            Err(no) => Err(HandlerError::transient(Error::Refused(no))),
        }
    }

    /// Asks to give back all that was charged.
    pub(crate) async fn refund(&self, call: &Call<'_>, intent_id: &str) -> Result<(), HandlerError> {
        match self.post::<Refund>(call, &["refunds"], &NewRefund { payment_intent: intent_id }).await? {
            Ok(Refund {}) => Ok(()),
            Err(no) if no.code.as_deref() == Some(ALREADY_REFUNDED) => Ok(()),
            Err(no) => Err(HandlerError::transient(Error::Refused(no))),
        }
    }

    /// What came of an order's authorisation, if there was one.
    pub(crate) async fn find_authorization(
        &self,
        call: &Call<'_>,
        order_id: OrderId,
    ) -> Result<Option<Authorization>, HandlerError> {
        let mut url = self.endpoint(&["payment_intents"]);
        url.query_pairs_mut().append_pair("order_id", &order_id.to_string());
        let intents = self.get::<Intents>(call, url).await?.data;
        let answer = |intent: Intent| match intent.status.as_str() {
            DECLINED => {
                Authorization::Declined { intent_id: Some(intent.id), reason: "the card was declined".to_owned() }
            }
            _ => Authorization::Authorized { intent_id: intent.id },
        };
        Ok(intents.into_iter().next().map(answer))
    }

    /// Whether what was set aside was charged, or can't be any more.
    pub(crate) async fn find_capture(&self, call: &Call<'_>, intent_id: &str) -> Result<Option<Capture>, HandlerError> {
        let intent = self.intent(call, intent_id).await?;
        Ok(match intent.status.as_str() {
            SUCCEEDED => Some(Capture::Captured),
            CANCELED => Some(Capture::Failed { reason: "the authorisation was cancelled".to_owned() }),
            _ => None,
        })
    }

    /// Whether what was set aside is free again, or charged.
    pub(crate) async fn find_cancellation(
        &self,
        call: &Call<'_>,
        intent_id: &str,
    ) -> Result<Option<Cancellation>, HandlerError> {
        let intent = self.intent(call, intent_id).await?;
        Ok(match intent.status.as_str() {
            CANCELED => Some(Cancellation::Canceled),
            SUCCEEDED => Some(Cancellation::Captured),
            _ => None,
        })
    }

    /// Whether all that was charged was given back.
    pub(crate) async fn find_refund(&self, call: &Call<'_>, intent_id: &str) -> Result<Option<()>, HandlerError> {
        let intent = self.intent(call, intent_id).await?;
        Ok((intent.amount_captured > 0 && intent.amount_refunded >= intent.amount_captured).then_some(()))
    }

    async fn intent(&self, call: &Call<'_>, intent_id: &str) -> Result<Intent, HandlerError> {
        self.get(call, self.endpoint(&["payment_intents", intent_id])).await
    }

    async fn get<T: DeserializeOwned>(&self, call: &Call<'_>, url: Url) -> Result<T, HandlerError> {
        self.ask(call, Request::get(url.as_str()), Vec::new())
            .await?
            .map_err(|no| HandlerError::transient(Error::Refused(no)))
    }

    /// Sends one command, and returns what it made or the provider's "no".
    async fn post<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Result<T, Refusal>, HandlerError> {
        let request = Request::post(self.endpoint(path).as_str())
            .header(IDEMPOTENCY_KEY, call.key().as_str())
            .header(header::CONTENT_TYPE, "application/json");
        self.ask(call, request, serde_json::to_vec(body)?).await
    }

    /// A provider that doesn't answer in time is waited for. So the client must give up before the reaction's own time is up,
    /// which would count against the event.
    async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        request: request::Builder,
        body: Vec<u8>,
    ) -> Result<Result<T, Refusal>, HandlerError> {
        let answer = self.http.send(request, body, self.timeout.min(call.time_left())).await;
        let (status, body) = answer.map_err(|error| HandlerError::unavailable(Error::Unreachable(error)))?;
        if status.is_success() {
            // It was done; trying again asks for the saved answer.
            return Ok(Ok(serde_json::from_slice(&body).map_err(Misfit::from).map_err(Error::from)?));
        }
        let refusal = Refusal::read(status, &body);
        match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED => Ok(Err(refusal)),
            // In use, too many, or we aren't let in: nothing that this order could help.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_MANY_REQUESTS => Err(HandlerError::unavailable(Error::Busy(refusal))),
            status if status.is_server_error() => Err(HandlerError::unavailable(Error::Busy(refusal))),
            _ => Err(HandlerError::transient(Error::Refused(refusal))),
        }
    }

    /// An address of the API; the parts of the path are escaped.
    fn endpoint(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        // Fails for URLs without a path, such as `mailto:`; the settings let only http through.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }
}

/// Why the provider didn't do what was asked. Each reads after "failed to ask the payment provider: ".
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("it can't be reached or didn't answer in time")]
    Unreachable(#[source] https::Error),
    #[error("it can't answer now ({})", .0.words())]
    Busy(Refusal),
    #[error("it refuses the request ({})", .0.words())]
    Refused(Refusal),
    #[error("its answer can't be read")]
    Unreadable(#[from] Misfit),
    #[error("the intent {} has the unexpected status {}", .0.id, .0.status)]
    Unexpected(Intent),
}

#[derive(Debug, Serialize)]
struct NewIntent<'a> {
    amount: i64,
    currency: String,
    payment_method: &'a str,
    capture_method: &'static str,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
struct Metadata {
    order_id: OrderId,
}

#[derive(Debug, Serialize)]
struct NewRefund<'a> {
    payment_intent: &'a str,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    status: String,
    #[serde(default)]
    amount_captured: i64,
    #[serde(default)]
    amount_refunded: i64,
}

#[derive(Debug, Deserialize)]
struct Intents {
    data: Vec<Intent>,
}

#[derive(Debug, Deserialize)]
struct Refund {}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: Refusal,
}

/// What the provider says when it doesn't do what was asked.
#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(skip)]
    status: u16,
    #[serde(default)]
    code: Option<String>,
    /// The part of the request that it doesn't take.
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    message: String,
    /// The intent as it is.
    #[serde(default)]
    payment_intent: Option<Intent>,
}

impl Refusal {
    fn read(status: StatusCode, body: &[u8]) -> Self {
        let read = serde_json::from_slice(body).map(|ErrorBody { error }| error);
        let refusal = read.unwrap_or_else(|_| {
            // Not the provider, but something on the way to it.
            let message = String::from_utf8_lossy(body).chars().take(200).collect();
            Self { status: 0, code: None, param: None, message, payment_intent: None }
        });
        Self { status: status.as_u16(), ..refusal }
    }

    fn is_declined(&self) -> bool {
        self.status == StatusCode::PAYMENT_REQUIRED
    }

    fn found_it(&self, status: &str) -> bool {
        self.payment_intent.as_ref().is_some_and(|intent| intent.status == status)
    }

    fn words(&self) -> String {
        format!("{} {}: {}", self.status, self.code.as_deref().unwrap_or("without a code"), self.message)
    }
}
