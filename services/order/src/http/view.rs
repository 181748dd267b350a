//! An order as the customer sees it. What identifies the customer (mail, address, card) is not shown: an order's address
//! on the web is no secret.

use contracts::{Line, Money, order::CancelReason};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{Status, reason_words},
    order::{Entry, Order, Summary},
};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderView {
    #[serde(flatten)]
    summary: SummaryView,
    /// What was ordered.
    lines: Vec<LineView>,
    /// What happened so far, the oldest first.
    history: Vec<EntryView>,
}

/// An order at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderSummary)]
pub(crate) struct SummaryView {
    /// Identifies the order.
    pub(crate) id: Uuid,
    /// How far it is, for machines: `payment-pending`, `authorized`, `stock-reserved`, `shipment-created`, `confirmed`,
    /// `cancelling`, `cancelled` or `needs-review`.
    status: &'static str,
    /// How far it is, in words.
    status_text: &'static str,
    /// Counts the facts known about the order. A higher one is newer.
    version: i64,
    /// What it costs.
    total: MoneyView,
    /// Why it was cancelled, for machines; absent unless it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cancel_reason: Option<CancelReason>,
    /// Why it was cancelled, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason_text: Option<&'static str>,
    /// RFC 3339.
    placed_at: String,
    /// When it is cancelled unless it is confirmed by then, RFC 3339.
    deadline_at: String,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Money)]
pub(crate) struct MoneyView {
    /// In minor units (cents).
    minor: i64,
    /// ISO 4217 code.
    currency: String,
}

/// One line of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub(crate) struct LineView {
    /// What is ordered.
    sku: String,
    /// How many pieces.
    quantity: u32,
    /// The price of one piece in minor units of the total's currency.
    unit_price_minor: i64,
}

/// A fact about an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub(crate) struct EntryView {
    /// The order's version since this fact.
    version: i64,
    /// What happened, for machines: the name of the event that told it.
    fact: &'static str,
    /// What happened, in words.
    text: &'static str,
    /// When this service learnt it, RFC 3339.
    at: String,
}

/// A fact about an order, and how far the order is since: one server-sent event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(crate) struct ProgressView {
    #[serde(flatten)]
    entry: EntryView,
    /// As in the order.
    status: &'static str,
    /// As in the order.
    status_text: &'static str,
}

/// A page of orders, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderPage)]
pub(crate) struct PageView {
    /// The orders.
    pub(crate) orders: Vec<SummaryView>,
    /// Give this as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Uuid>,
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        Self {
            summary: (&order.summary).into(),
            lines: order.lines.iter().map(LineView::from).collect(),
            history: order.history.iter().map(EntryView::from).collect(),
        }
    }
}

impl From<&Summary> for SummaryView {
    fn from(order: &Summary) -> Self {
        Self {
            id: order.id.as_uuid(),
            status: order.status.name(),
            status_text: order.status.words(),
            version: order.version,
            total: (&order.total).into(),
            cancel_reason: order.cancel_reason,
            cancel_reason_text: order.cancel_reason.map(reason_words),
            placed_at: order.placed_at.to_string(),
            deadline_at: order.deadline_at.to_string(),
        }
    }
}

impl From<&Money> for MoneyView {
    fn from(money: &Money) -> Self {
        Self { minor: money.minor, currency: money.currency.to_string() }
    }
}

impl From<&Line> for LineView {
    fn from(line: &Line) -> Self {
        Self { sku: line.sku.to_string(), quantity: line.quantity, unit_price_minor: line.unit_price.minor }
    }
}

impl From<&Entry> for EntryView {
    fn from(Entry { version, fact, at }: &Entry) -> Self {
        Self { version: *version, fact: fact.name(), text: fact.words(), at: at.to_string() }
    }
}

impl ProgressView {
    /// A fact, and the status since.
    pub(crate) fn new(entry: &Entry, status: Status) -> Self {
        Self { entry: entry.into(), status: status.name(), status_text: status.words() }
    }
}
