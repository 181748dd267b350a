//! All SQL of the coordinator and its participants. Each participant's work is one statement, so that a branch costs three
//! round trips: begin, work, prepare.

use pavane_contract::{Clock as _, SystemClock};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, Postgres, Row as _, Transaction};

use crate::comparison::order::{CURRENCY, Order};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The coordinator's log. It is in the order database, so that the decision and the order's row are one local commit: the
/// order service is the last agent, which needs no prepare.
const LOG: &str = "create table if not exists decision (
    order_id text not null primary key,
    -- Which coordinator finishes it.
    coordinator text not null,
    -- Null until it is decided to commit. Presumed abort: what isn't, is aborted by recovery.
    intent_id text
)";

/// A participant's part of an order: a transaction that is prepared once all is well.
#[derive(Debug)]
pub(super) struct Branch {
    tx: Transaction<'static, Postgres>,
    gid: String,
}

impl Branch {
    /// `gid` is unique in the whole server, whatever the database.
    pub(super) async fn begin(participant: &PgPool, gid: String) -> Result<Self> {
        Ok(Self { tx: participant.begin().await?, gid })
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Votes yes. From here on only the coordinator can end the transaction, and its locks stay until then.
    pub(super) async fn prepare(mut self) -> Result<Self> {
        let prepare = format!("prepare transaction '{}'", self.gid);
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *self.tx).await?;
        Ok(self)
    }

    /// The second phase, on the connection of the first: were it given back in between, somebody who waits for the rows of
    /// this very branch could get the last one.
    pub(super) async fn finish(mut self, commit: bool) -> Result<()> {
        finish(&mut *self.tx, &self.gid, commit).await
        // Dropping the handle sends a rollback later, which finds no transaction and does nothing.
    }
}

pub(super) async fn create_log(order: &PgPool) -> Result<()> {
    sqlx::raw_sql(LOG).execute(order).await.map(drop)
}

/// Notes that the provider is about to be asked; the commit needn't wait for the disk.
pub(super) async fn begin(unforced: &PgPool, coordinator: &str, order: &Order) -> Result<()> {
    let insert = sqlx::query("insert into decision (order_id, coordinator) values ($1, $2)");
    insert.bind(&order.id).bind(coordinator).execute(unforced).await.map(drop)
}

/// Decides to commit, once all have voted yes, and writes the order's own row with it.
pub(super) async fn decide(order_db: &PgPool, order: &Order, intent_id: &str) -> Result<()> {
    let now = SystemClock.now().as_microsecond();
    let decide = "with decided as (update decision set intent_id = $2 where order_id = $1 returning order_id)
        insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at)
        select order_id, 'customer@example.com', $3, $4, $5, 1, 'confirmed', 1, $6, $6 from decided";
    let decide = sqlx::query(decide).bind(&order.id).bind(intent_id).bind(CURRENCY).bind(order.amount());
    let decided = decide.bind(order.lines()).bind(now).execute(order_db).await?;
    if decided.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Forgets an order that is over, either way; nothing is lost when the machine dies before the disk has it.
pub(super) async fn end(unforced: &PgPool, order_id: &str) -> Result<()> {
    sqlx::query("delete from decision where order_id = $1").bind(order_id).execute(unforced).await.map(drop)
}

/// Takes the stock for good; `false` when there isn't enough. The row is locked from here to the second phase.
pub(super) async fn take_stock(conn: &mut PgConnection, order: &Order) -> Result<bool> {
    let take = "with taken as (
            update stock set on_hand = on_hand - $3, shipped = shipped + $3
            where sku = $2 and on_hand - reserved >= $3 returning sku),
        reserved as (insert into reservation (order_id, state) select $1, 'shipped' from taken)
        insert into reservation_line (order_id, sku, quantity) select $1, sku, $3 from taken";
    let take = sqlx::query(take).bind(&order.id).bind(&order.sku).bind(order.quantity);
    Ok(take.execute(conn).await?.rows_affected() == 1)
}

/// Writes the payment as it will be once the decision is carried out.
pub(super) async fn pay(conn: &mut PgConnection, order: &Order, intent_id: &str) -> Result<()> {
    let pay = "insert into payment (order_id, intent_id, currency, amount, authorized, captured)
        values ($1, $2, $3, $4, $4, $4)";
    sqlx::query(pay).bind(&order.id).bind(intent_id).bind(CURRENCY).bind(order.amount()).execute(conn).await.map(drop)
}

pub(super) async fn ship(conn: &mut PgConnection, order: &Order) -> Result<()> {
    let ship = "insert into shipment (order_id, country, carrier, tracking, status)
        values ($1, $2, 'Colissimo', $2 || $1, 'dispatched')";
    sqlx::query(ship).bind(&order.id).bind(&order.country).execute(conn).await.map(drop)
}

/// The second phase of one branch, on any connection to its database.
pub(super) async fn finish(participant: impl PgExecutor<'_>, gid: &str, commit: bool) -> Result<()> {
    let verb = if commit { "commit" } else { "rollback" };
    sqlx::raw_sql(AssertSqlSafe(format!("{verb} prepared '{gid}'"))).execute(participant).await.map(drop)
}

/// The branches of a coordinator that wait for its decision in this database, by gid.
pub(super) async fn in_doubt(participant: &PgPool, coordinator: &str) -> Result<Vec<String>> {
    let select =
        "select gid from pg_prepared_xacts where database = current_database() and starts_with(gid, $1 || ':')";
    sqlx::query_scalar(select).bind(coordinator).fetch_all(participant).await
}

/// What a coordinator had begun, and the provider's id of those that it had decided to commit.
pub(super) async fn unfinished(order_db: &PgPool, coordinator: &str) -> Result<Vec<(String, Option<String>)>> {
    let select = sqlx::query("select order_id, intent_id from decision where coordinator = $1").bind(coordinator);
    let rows = select.fetch_all(order_db).await?;
    rows.iter().map(|row| Ok((row.try_get("order_id")?, row.try_get("intent_id")?))).collect()
}

/// Whether an order that is over was committed; `None` while a coordinator has it in its log. One that nobody knows was
/// aborted: that is what *presumed abort* means.
pub(super) async fn ending(order_db: &PgPool, order_id: &str) -> Result<Option<bool>> {
    let select = "select not exists (select 1 from decision where order_id = $1) as over,
        exists (select 1 from orders where id = $1) as confirmed";
    let row = sqlx::query(select).bind(order_id).fetch_one(order_db).await?;
    Ok(if row.try_get("over")? { Some(row.try_get("confirmed")?) } else { None })
}
