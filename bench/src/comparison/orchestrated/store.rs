//! All SQL of the orchestrator and of the services that it calls. Each local transaction is one statement.

use pavane_contract::{Clock as _, SystemClock};
use sqlx::{PgPool, Row as _, error::DatabaseError};

use crate::comparison::order::{CURRENCY, Order};

/// The status of an order whose end isn't certain yet.
pub(super) const PLACED: &str = "placed";
/// The status of an order that is paid and on its way.
pub(super) const CONFIRMED: &str = "confirmed";

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The orchestrator's log, in the order database: what was asked for, and how far it is.
const LOG: &str = "create table if not exists saga (
    order_id text not null primary key,
    -- Which orchestrator carries it on.
    orchestrator text not null,
    request text not null,
    -- How many steps are done.
    done bigint not null,
    -- What the provider calls the payment.
    intent_id text,
    -- 1 once a step said no: from then on everything is undone.
    undoing bigint not null
)";

/// How far a saga is.
#[derive(Debug, Clone)]
pub(super) struct Saga {
    pub(super) order: Order,
    pub(super) done: usize,
    pub(super) intent_id: Option<String>,
    pub(super) undoing: bool,
}

pub(super) async fn create_log(order_db: &PgPool) -> Result<()> {
    sqlx::raw_sql(LOG).execute(order_db).await.map(drop)
}

/// Writes the order and its saga down, before anything is done.
pub(super) async fn begin(order_db: &PgPool, orchestrator: &str, order: &Order) -> Result<()> {
    let now = SystemClock.now().as_microsecond();
    let request = serde_json::to_string(order).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let insert = "with logged as (
            insert into saga (order_id, orchestrator, request, done, undoing) values ($1, $2, $3, 0, 0)
            returning order_id)
        insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at)
        select order_id, 'customer@example.com', $4, $5, $6, 1, 'placed', 1, $7, $7 from logged";
    let insert = sqlx::query(insert).bind(&order.id).bind(orchestrator).bind(request).bind(CURRENCY);
    insert.bind(order.amount()).bind(order.lines()).bind(now).execute(order_db).await.map(drop)
}

/// Logs that a step is done.
pub(super) async fn log_step(order_db: &PgPool, saga: &Saga) -> Result<()> {
    let update = sqlx::query("update saga set done = $2, intent_id = $3 where order_id = $1");
    update.bind(&saga.order.id).bind(steps(saga.done)).bind(&saga.intent_id).execute(order_db).await.map(drop)
}

/// Logs the last step and confirms the order with it.
pub(super) async fn confirm(order_db: &PgPool, saga: &Saga) -> Result<()> {
    let confirm = "with logged as (update saga set done = $2 where order_id = $1 returning order_id)
        update orders set status = 'confirmed', version = version + 1 from logged where id = order_id";
    sqlx::query(confirm).bind(&saga.order.id).bind(steps(saga.done)).execute(order_db).await.map(drop)
}

/// Logs that a step said no, and cancels the order with it.
pub(super) async fn cancel(order_db: &PgPool, order_id: &str) -> Result<()> {
    let cancel = "with logged as (update saga set undoing = 1 where order_id = $1 returning order_id)
        update orders set status = 'cancelled', version = version + 1 from logged where id = order_id";
    sqlx::query(cancel).bind(order_id).execute(order_db).await.map(drop)
}

/// Forgets a saga that is over; nothing is lost when the machine dies before the disk has it.
pub(super) async fn end(unforced: &PgPool, order_id: &str) -> Result<()> {
    sqlx::query("delete from saga where order_id = $1").bind(order_id).execute(unforced).await.map(drop)
}

/// What an orchestrator had under way.
pub(super) async fn unfinished(order_db: &PgPool, orchestrator: &str) -> Result<Vec<Saga>> {
    let select = sqlx::query("select request, done, intent_id, undoing from saga where orchestrator = $1");
    let mut sagas = Vec::new();
    for row in select.bind(orchestrator).fetch_all(order_db).await? {
        let order = serde_json::from_str(row.try_get("request")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let undoing = row.try_get::<i64, _>("undoing")? == 1;
        let done = row.try_get::<i64, _>("done")?;
        let done = usize::try_from(done).map_err(|error| sqlx::Error::Decode(error.into()))?;
        sagas.push(Saga { order, done, intent_id: row.try_get("intent_id")?, undoing });
    }
    Ok(sagas)
}

fn steps(done: usize) -> i64 {
    i64::try_from(done).unwrap_or(i64::MAX)
}

/// The status of an order; `None` when it was never accepted.
pub(super) async fn status(order_db: &PgPool, order_id: &str) -> Result<Option<String>> {
    sqlx::query_scalar("select status from orders where id = $1").bind(order_id).fetch_optional(order_db).await
}

// The services' local transactions. Each can be asked for again, and then changes nothing.

/// Payment: writes down what the provider set aside.
pub(super) async fn authorized(payment: &PgPool, order: &Order, intent_id: &str) -> Result<()> {
    let insert = "insert into payment (order_id, intent_id, currency, amount, authorized) values ($1, $2, $3, $4, $4)
        on conflict do nothing";
    let insert = sqlx::query(insert).bind(&order.id).bind(intent_id).bind(CURRENCY).bind(order.amount());
    insert.execute(payment).await.map(drop)
}

pub(super) async fn captured(payment: &PgPool, order_id: &str) -> Result<()> {
    let update = sqlx::query("update payment set captured = amount where order_id = $1");
    update.bind(order_id).execute(payment).await.map(drop)
}

pub(super) async fn voided(payment: &PgPool, order_id: &str) -> Result<()> {
    let update = sqlx::query("update payment set voided = amount where order_id = $1");
    update.bind(order_id).execute(payment).await.map(drop)
}

/// Inventory: holds the goods; `false` when there isn't enough, which is remembered too.
///
/// A second request for the same order collides on the reservation's key, so its whole statement is undone: then the answer
/// is what the first one left.
pub(super) async fn reserve(inventory: &PgPool, order: &Order) -> Result<bool> {
    let reserve = "with taken as (
            update stock set reserved = reserved + $3 where sku = $2 and on_hand - reserved >= $3 returning sku),
        held as (
            insert into reservation (order_id, state)
            select $1, case when exists (select 1 from taken) then 'held' else 'released' end),
        lines as (insert into reservation_line (order_id, sku, quantity) select $1, sku, $3 from taken)
        select count(*) from taken";
    let reserve = sqlx::query_scalar::<_, i64>(reserve).bind(&order.id).bind(&order.sku).bind(order.quantity);
    match reserve.fetch_one(inventory).await {
        Ok(taken) => Ok(taken == 1),
        Err(error) if error.as_database_error().is_some_and(DatabaseError::is_unique_violation) => {
            let state = sqlx::query_scalar::<_, String>("select state from reservation where order_id = $1");
            Ok(state.bind(&order.id).fetch_one(inventory).await? == "held")
        }
        Err(error) => Err(error),
    }
}

/// Inventory: the goods leave.
pub(super) async fn take_out(inventory: &PgPool, order_id: &str) -> Result<()> {
    let take_out = "with shipped as (
            update reservation set state = 'shipped' where order_id = $1 and state = 'held' returning order_id)
        update stock set on_hand = on_hand - line.quantity, reserved = reserved - line.quantity,
            shipped = stock.shipped + line.quantity
        from reservation_line line join shipped using (order_id) where line.sku = stock.sku";
    sqlx::query(take_out).bind(order_id).execute(inventory).await.map(drop)
}

/// Inventory: the goods are for sale again.
pub(super) async fn release(inventory: &PgPool, order_id: &str) -> Result<()> {
    let release = "with released as (
            update reservation set state = 'released' where order_id = $1 and state = 'held' returning order_id)
        update stock set reserved = reserved - line.quantity
        from reservation_line line join released using (order_id) where line.sku = stock.sku";
    sqlx::query(release).bind(order_id).execute(inventory).await.map(drop)
}

/// Shipping: finds a carrier.
pub(super) async fn create_shipment(shipping: &PgPool, order: &Order) -> Result<()> {
    let insert = "insert into shipment (order_id, country, carrier, tracking, status)
        values ($1, $2, 'Colissimo', $2 || $1, 'created') on conflict do nothing";
    sqlx::query(insert).bind(&order.id).bind(&order.country).execute(shipping).await.map(drop)
}

pub(super) async fn dispatch(shipping: &PgPool, order_id: &str) -> Result<()> {
    let update = sqlx::query("update shipment set status = 'dispatched' where order_id = $1 and status = 'created'");
    update.bind(order_id).execute(shipping).await.map(drop)
}
