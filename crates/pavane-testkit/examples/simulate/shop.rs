//! A shop of three services, as small as one can be that has everything: an effect, undos, a deadline, an outcome.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pavane::{
    Envelope, Event, Handled, HandlerError, IdempotencyKey, Timestamp,
    any::{Call, Service, Tx},
    on, on_effect, undo, undo_effect,
};
use pavane_testkit::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

pub(crate) const CANCEL: pavane::EntryPoint = pavane::EntryPoint::new("cancel");
pub(crate) const PLACE: pavane::EntryPoint = pavane::EntryPoint::new("place");

macro_rules! event {
    ($name:ident, $wire:literal $(, $field:ident: $type:ty)*) => {
        #[doc = concat!("`", $wire, "`")]
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = order)]
        #[allow(missing_docs, reason = "the names say it")]
        pub(crate) struct $name {
            pub(crate) order: String,
            $(pub(crate) $field: $type,)*
        }
    };
}

event!(OrderPlaced, "order.placed", cents: i64, pieces: i64);
event!(OrderDeadlinePassed, "order.deadline-passed");
event!(OrderConfirmed, "order.confirmed");
event!(OrderCancelled, "order.cancelled");
event!(OrderExpired, "order.expired");
event!(PaymentCharged, "payment.charged", cents: i64, pieces: i64);
event!(PaymentDeclined, "payment.declined");
event!(PaymentRefunded, "payment.refunded");
event!(StockReserved, "stock.reserved", pieces: i64);
event!(StockRejected, "stock.rejected");
event!(StockReleased, "stock.released");

/// How long an order may take.
pub(crate) const DEADLINE: Duration = Duration::from_mins(10);

/// The order service: decides.
pub(crate) fn order(bug: Option<Bug>) -> Service<()> {
    let cancels = on(cancel::<PaymentDeclined>).or(cancel::<StockRejected>);
    let service = Service::new("order", ())
        .migrations(tables("create table orders (id text primary key)"))
        .entry(&PLACE, |entry| entry.emits::<OrderPlaced>().schedules::<OrderDeadlinePassed>())
        .entry(&CANCEL, pavane::Declared::decides::<OrderCancelled>)
        .react("confirm", on(confirm).decides::<OrderConfirmed>());
    if bug == Some(Bug::TimeoutSkipsUndo) {
        let service = service.react("cancel", cancels.decides::<OrderCancelled>());
        return service.react("expire", on(expire).decides::<OrderExpired>());
    }
    service.react("cancel", cancels.or(cancel::<OrderDeadlinePassed>).decides::<OrderCancelled>())
}

/// What nothing undoes.
async fn expire((): &(), tx: &mut Tx, event: &Envelope<OrderDeadlinePassed>) -> Handled {
    let _outcome = tx.decide(&OrderExpired { order: event.order.clone() }).await?;
    Ok(())
}

async fn confirm((): &(), tx: &mut Tx, reserved: &Envelope<StockReserved>) -> Handled {
    let _outcome = tx.decide(&OrderConfirmed { order: reserved.order.clone() }).await?;
    Ok(())
}

async fn cancel<E: Event>((): &(), tx: &mut Tx, event: &Envelope<E>) -> Handled {
    let _outcome = tx.decide(&OrderCancelled { order: event.meta.key.to_string() }).await?;
    Ok(())
}

/// The payment service: charges.
pub(crate) fn payment(bank: Bank) -> Service<Bank> {
    let refunds = bank.bug != Some(Bug::NoRefund);
    let service = Service::new("payment", bank)
        .react("charge", on_effect(charge, record_charge).emits_one_of::<(PaymentCharged, PaymentDeclined)>());
    if !refunds {
        return service;
    }
    service.react("refund", undo_effect(refund, record_refund).when::<OrderCancelled>().emits::<PaymentRefunded>())
}

async fn charge(bank: &Bank, call: &Call<'_>, placed: &Envelope<OrderPlaced>) -> Result<bool, HandlerError> {
    bank.transfer(call.key(), &placed.order, placed.cents).await
}

async fn record_charge(_: &Bank, tx: &mut Tx, placed: &Envelope<OrderPlaced>, charged: bool) -> Handled {
    let OrderPlaced { order, cents, pieces } = placed.body.clone();
    if charged {
        tx.emit(&PaymentCharged { order, cents, pieces }).await?;
    } else {
        tx.emit(&PaymentDeclined { order }).await?;
    }
    Ok(())
}

async fn refund(bank: &Bank, call: &Call<'_>, charged: &Envelope<PaymentCharged>) -> Result<bool, HandlerError> {
    let refunded = bank.transfer(call.key(), &charged.order, -charged.cents).await;
    if bank.bug == Some(Bug::RefundAssumed) { Ok(true) } else { refunded }
}

async fn record_refund(_: &Bank, tx: &mut Tx, charged: &Envelope<PaymentCharged>, _: bool) -> Handled {
    tx.emit(&PaymentRefunded { order: charged.order.clone() }).await?;
    Ok(())
}

/// A bank as providers are: it does each request once, by its idempotency key. Clones are the same bank.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bank {
    pub(crate) bug: Option<Bug>,
    network: Network,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    answers: BTreeMap<String, bool>,
    /// What was taken from the customer of each order, less what was given back.
    taken: BTreeMap<String, i64>,
}

impl Bank {
    /// A bank at the other end of a network.
    pub(crate) fn behind(network: Network, bug: Option<Bug>) -> Self {
        Self { bug, network, books: Arc::default() }
    }

    /// Takes money, or gives it back. `false` when the customer has no such money.
    async fn transfer(&self, key: &IdempotencyKey, order: &str, cents: i64) -> Result<bool, HandlerError> {
        let key = self.key(key);
        let answer = self.network.call(async { self.books().transfer(key, order, cents) }).await;
        answer.map_err(HandlerError::unavailable)
    }

    /// What the customer of an order has paid.
    pub(crate) fn taken(&self, order: &str) -> i64 {
        self.books().taken.get(order).copied().unwrap_or_default()
    }

    fn key(&self, key: &IdempotencyKey) -> String {
        match self.bug {
            Some(Bug::NewKeyEachCall) => format!("{key}-{}", self.books().answers.len()),
            _ => key.to_string(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn transfer(&mut self, key: String, order: &str, cents: i64) -> bool {
        if let Some(answer) = self.answers.get(&key) {
            return *answer;
        }
        let covered = cents < RICH;
        self.answers.insert(key, covered);
        *self.taken.entry(order.to_owned()).or_default() += if covered { cents } else { 0 };
        covered
    }
}

/// Nobody in this town has so much, in cents.
pub(crate) const RICH: i64 = 100_000;

/// The stock service: keeps pieces back for orders, and ships them.
pub(crate) fn stock(scales: Scales) -> Service<Scales> {
    let sql = "create table shelf (pieces integer not null check (pieces >= 0), shipped integer not null); \
               insert into shelf values (60, 0); \
               create table reservations (order_id text primary key, pieces integer not null);";
    let ship_as = scales.ship_as();
    Service::new("stock", scales)
        .migrations(tables(sql))
        .react("reserve", on(reserve).may_emit::<(StockReserved, StockRejected)>())
        .react("release", undo(release).when::<OrderCancelled>().emits::<StockReleased>())
        .react(ship_as, on(ship))
}

/// What pieces are counted with. Clones are the same scales.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scales {
    bug: Option<Bug>,
    repaired: Arc<AtomicBool>,
    starts: Arc<AtomicUsize>,
}

impl Scales {
    /// They can't count this many until they are repaired.
    pub(crate) const UNLUCKY: i64 = 13;

    /// Scales of a service with a mistake.
    pub(crate) fn with(bug: Option<Bug>) -> Self {
        Self { bug, ..Self::default() }
    }

    /// Repairs them.
    pub(crate) fn repair(&self) {
        self.repaired.store(true, Ordering::Relaxed);
    }

    /// Nor can they weigh this many, which they notice only after having tried a while.
    pub(crate) const HEAVY: i64 = 17;

    /// Nobody ever says when there will be this many: only its deadline ends such an order.
    pub(crate) const NEVER: i64 = 23;

    /// What the reaction that ships is called.
    fn ship_as(&self) -> &'static str {
        /// Starts at the beginning of a run at most.
        const FIRST: usize = 3;
        let renamed = self.bug == Some(Bug::Renamed) && self.starts.fetch_add(1, Ordering::Relaxed) >= FIRST;
        if renamed { "ship-goods" } else { "ship" }
    }

    /// What a handler says while they are being cleaned: for half a second, every five.
    pub(crate) const CLEANED: &str = "the scales are being cleaned";

    fn count(&self, pieces: i64, now: Timestamp) -> Result<(), HandlerError> {
        match pieces {
            _ if self.repaired.load(Ordering::Relaxed) => {}
            Self::UNLUCKY => return Err(HandlerError::reject("the scales are broken")),
            Self::HEAVY => return Err(HandlerError::transient("the scales groan")),
            _ => {}
        }
        // Their failures are counted apart: together they would be too many.
        let is_cleaned = pieces != Self::HEAVY && (1000..1500).contains(&(now.as_millisecond() % 5000));
        if is_cleaned { Err(HandlerError::transient(Self::CLEANED)) } else { Ok(()) }
    }
}

async fn reserve(scales: &Scales, tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    let (order, pieces) = (charged.order.clone(), charged.pieces);
    if pieces == Scales::NEVER {
        return Ok(());
    }
    scales.count(pieces, tx.now())?;
    let take = sqlx::query("update shelf set pieces = pieces - $1 where pieces >= $1").bind(pieces);
    if take.execute(tx.conn()).await?.rows_affected() == 0 {
        if scales.bug == Some(Bug::NoIsAnError) {
            return Err(HandlerError::transient("out of stock"));
        }
        tx.emit(&StockRejected { order }).await?;
        return Ok(());
    }
    let note = sqlx::query("insert into reservations (order_id, pieces) values ($1, $2)").bind(&order).bind(pieces);
    note.execute(tx.conn()).await?;
    tx.emit(&StockReserved { order, pieces }).await?;
    Ok(())
}

async fn release(_: &Scales, tx: &mut Tx, reserved: &Envelope<StockReserved>) -> Handled {
    let order = reserved.order.clone();
    sqlx::query("delete from reservations where order_id = $1").bind(&order).execute(tx.conn()).await?;
    sqlx::query("update shelf set pieces = pieces + $1").bind(reserved.pieces).execute(tx.conn()).await?;
    tx.emit(&StockReleased { order }).await?;
    Ok(())
}

/// Only the inbox keeps it from shipping an order twice.
async fn ship(_: &Scales, tx: &mut Tx, confirmed: &Envelope<OrderConfirmed>) -> Handled {
    let ship = "update shelf set shipped = shipped + (select pieces from reservations where order_id = $1)";
    sqlx::query(ship).bind(&confirmed.order).execute(tx.conn()).await?;
    Ok(())
}

fn tables(sql: &'static str) -> Migrator {
    let migration = Migration::new(1, "tables".into(), MigrationType::Simple, sql.into_sql_str(), false);
    Migrator::with_migrations(vec![migration])
}

/// A mistake that somebody could make in these services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing undoes a charge.
    NoRefund,
    /// A refund counts as done whatever the bank says.
    RefundAssumed,
    /// Each call of the bank has a key of its own.
    NewKeyEachCall,
    /// Being out of stock is an error.
    NoIsAnError,
    /// An order and its event are two transactions.
    TwoTransactions,
    /// When the time is over, nothing is undone.
    TimeoutSkipsUndo,
    /// A timer is cancelled before the decision, and not with it.
    CancelOutside,
    /// A new version calls a reaction by another name.
    Renamed,
}

impl Bug {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::NoRefund,
        Self::RefundAssumed,
        Self::NewKeyEachCall,
        Self::NoIsAnError,
        Self::TwoTransactions,
        Self::TimeoutSkipsUndo,
        Self::CancelOutside,
        Self::Renamed,
    ];

    /// What it is, as a sentence.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::NoRefund => "the compensation for one branch is missing",
            Self::RefundAssumed => "a saga counts as compensated although a compensation failed",
            Self::NewKeyEachCall => "a retry of an effect has another idempotency key",
            Self::NoIsAnError => "a business \"no\" is retried as if it were an error",
            Self::TimeoutSkipsUndo => "a timeout skips compensation",
            Self::CancelOutside => "a timer is cancelled in another transaction than the decision, which rolls back",
            Self::Renamed => "a renamed reaction consumes everything again",
            Self::TwoTransactions => "the outbox row is written in another transaction than the state change",
        }
    }
}
