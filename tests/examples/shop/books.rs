//! What must be true of the shop in the end, whatever went wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pavane::SagaId;
use pavane_testkit::{BoxError, Violation, World};
use sqlx::{Row as _, any::AnyRow};
use tempfile::TempDir;

use super::{provider::Provider, system::SHELF};

/// What each service's books say of one order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    /// `(authorized, captured, voided, refunded)`, in cents.
    money: Option<(i64, i64, i64, i64)>,
    stock: Option<String>,
    shipment: Option<String>,
    mails: Vec<String>,
}

/// Confirmed orders are paid, shipped and told; cancelled ones cost nothing, hold nothing and are told.
pub(crate) async fn balance(
    world: World,
    provider: Provider,
    maildir: Arc<TempDir>,
) -> Result<Vec<Violation>, BoxError> {
    let events = world.events();
    let placed: BTreeSet<SagaId> = events
        .iter()
        .filter(|event| event.meta.event.name == "order.placed")
        .map(|event| event.meta.cause.saga)
        .collect();
    let outcomes: BTreeMap<SagaId, &str> = events
        .iter()
        .filter_map(|event| match event.meta.event.name.as_str() {
            "order.confirmed" => Some((event.meta.cause.saga, "confirmed")),
            "order.cancelled" => Some((event.meta.cause.saga, "cancelled")),
            _ => None,
        })
        .collect();
    let mut accounts = accounts(&world).await?;
    let mut violations = Vec::new();
    let (mut paid, mut confirmed) = (0, 0);
    for row in rows(&world, "order", "select id, total_minor from orders order by id").await? {
        let (id, total): (String, i64) = (row.get(0), row.get(1));
        let saga: SagaId = id.parse()?;
        let account = accounts.remove(&id).unwrap_or_default();
        let outcome = outcomes.get(&saga).copied().unwrap_or("undecided");
        if outcome == "confirmed" {
            (paid, confirmed) = (paid + total, confirmed + 1);
        }
        if !placed.contains(&saga) {
            violations.push(Violation::of(saga, "the order was taken, and nobody was told"));
        }
        if !is_right(outcome, total, &account) {
            violations.push(Violation::of(saga, format!("the order is {outcome}, and its books say {account:?}")));
        }
    }
    violations.extend(accounts.into_keys().map(|order| Violation::overall(format!("nobody placed the order {order}"))));
    violations.extend(provider_is_right(&provider, paid).await?);
    violations.extend(stock_is_right(&world, confirmed).await?);
    let mails = std::fs::read_dir(maildir.path().join("new"))?.count();
    if mails != outcomes.len() {
        violations.push(Violation::overall(format!("{mails} mails are there, for {} decided orders", outcomes.len())));
    }
    Ok(violations)
}

fn is_right(outcome: &str, total: i64, account: &Account) -> bool {
    let Account { money, stock, shipment, mails } = account;
    match outcome {
        "confirmed" => {
            *money == Some((total, total, 0, 0))
                && stock.as_deref() == Some("shipped")
                && shipment.as_deref() == Some("dispatched")
                && *mails == ["confirmation"]
        }
        "cancelled" => {
            money.is_none_or(|(authorized, captured, voided, refunded)| {
                captured == refunded && authorized == captured + voided
            }) && stock.as_deref().is_none_or(|stock| stock == "released")
                && shipment.as_deref().is_none_or(|shipment| shipment == "cancelled")
                && *mails == ["cancellation"]
        }
        _ => false,
    }
}

async fn accounts(world: &World) -> Result<BTreeMap<String, Account>, BoxError> {
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    let payments = "select order_id, authorized, captured, voided, refunded from payment";
    for row in rows(world, "payment", payments).await? {
        accounts.entry(row.get(0)).or_default().money = Some((row.get(1), row.get(2), row.get(3), row.get(4)));
    }
    for row in rows(world, "inventory", "select order_id, state from reservation").await? {
        accounts.entry(row.get(0)).or_default().stock = Some(row.get(1));
    }
    for row in rows(world, "shipping", "select order_id, status from shipment").await? {
        accounts.entry(row.get(0)).or_default().shipment = Some(row.get(1));
    }
    for row in rows(world, "notification", "select order_id, kind from sent_mail").await? {
        accounts.entry(row.get(0)).or_default().mails.push(row.get(1));
    }
    Ok(accounts)
}

/// The provider has charged what confirmed orders cost, and sets nothing aside for anybody any more.
async fn provider_is_right(provider: &Provider, paid: i64) -> Result<Option<Violation>, BoxError> {
    let balances = provider.balance().await?.currencies;
    let charged: i64 = balances.iter().map(|balance| balance.captured - balance.refunded).sum();
    let open: i64 = balances.iter().map(|balance| balance.open_authorizations).sum();
    let wrong = charged != paid || open != 0;
    let what = format!("the provider has charged {charged} for orders of {paid}, and {open} authorisations are open");
    Ok(wrong.then(|| Violation::overall(what)))
}

/// Nothing is reserved any more, and what is gone was shipped.
async fn stock_is_right(world: &World, confirmed: i64) -> Result<Vec<Violation>, BoxError> {
    let stock = rows(world, "inventory", "select sku, on_hand, reserved, shipped from stock").await?;
    let wrong = stock.iter().filter_map(|row| {
        let (sku, found): (String, (i64, i64, i64)) = (row.get(0), (row.get(1), row.get(2), row.get(3)));
        let expected = (SHELF - 2 * confirmed, 0, 2 * confirmed);
        let what = format!("of {sku} there are (on hand, reserved, shipped) {found:?}, not {expected:?}");
        (found != expected).then(|| Violation::overall(what))
    });
    Ok(wrong.collect())
}

async fn rows(world: &World, service: &str, sql: &'static str) -> Result<Vec<AnyRow>, BoxError> {
    Ok(sqlx::query(sql).fetch_all(world.db(service).writers()).await?)
}
