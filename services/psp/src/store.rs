//! All the SQL of the provider. SQLite only, through one connection: its transactions run one after the other, so what one
//! reads stays true until it commits.

use std::str::FromStr;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool};

use crate::answer::Answer;
use crate::domain::{Card, Intent, Status};
use crate::idempotency::Key;
use crate::wire::{Balance, Refund};

/// A transaction of the provider.
pub(crate) type Tx = sqlx::Transaction<'static, Sqlite>;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SQLite says no.
    #[error("use the database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The database was made by another version of this program.
    #[error("migrate the database: {0}")]
    Migrate(#[from] MigrateError),
    /// A row holds a word that this version does not know.
    #[error("read {what} {word:?} from the database")]
    Unknown {
        /// What the word should be.
        what: &'static str,
        /// The word.
        word: String,
    },
}

/// The provider's books.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answer that was given must be the answer after a power cut too.
            .synchronous(SqliteSynchronous::Full);
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = one.connect_with(options).await?;
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool })
    }

    pub(crate) async fn begin(&self) -> Result<Tx, Error> {
        Ok(self.pool.begin_with("begin immediate").await?)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn intent(&self, id: &str) -> Result<Option<Intent>, Error> {
        intent(&mut *self.pool.acquire().await?, id).await
    }

    pub(crate) async fn intents_of_order(&self, order_id: &str) -> Result<Vec<Intent>, Error> {
        let query = sqlx::query("select * from intent where order_id = $1 order by created, id limit 100");
        query.bind(order_id).fetch_all(&self.pool).await?.iter().map(read_intent).collect()
    }

    pub(crate) async fn balance(&self) -> Result<Vec<Balance>, Error> {
        let query = "select currency,
                sum(amount_captured) as captured,
                sum(amount_refunded) as refunded,
                sum(case when status = 'requires_capture' then amount else 0 end) as open_amount,
                sum(status = 'requires_capture') as open_count
            from intent group by currency order by currency";
        let rows = sqlx::query(query).fetch_all(&self.pool).await?;
        let balance = |row: &SqliteRow| -> Result<Balance, Error> {
            Ok(Balance {
                currency: row.try_get("currency")?,
                captured: row.try_get("captured")?,
                refunded: row.try_get("refunded")?,
                open_authorizations: row.try_get("open_count")?,
                open_authorizations_amount: row.try_get("open_amount")?,
            })
        };
        rows.iter().map(balance).collect()
    }

    pub(crate) async fn saved_answer(&self, key: &Key) -> Result<Option<(String, Answer)>, Error> {
        let query = sqlx::query("select fingerprint, status, body from saved_answer where key = $1");
        let Some(row) = query.bind(key.as_str()).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        let answer = Answer { status: row.try_get("status")?, body: row.try_get("body")? };
        Ok(Some((row.try_get("fingerprint")?, answer)))
    }

    /// Whether this is the first time that `key` comes to fail; only one caller is ever told so.
    pub(crate) async fn fail_once(&self, key: &Key, now: i64) -> Result<bool, Error> {
        let query = sqlx::query("insert into failed_once (key, failed_at) values ($1, $2) on conflict do nothing");
        Ok(query.bind(key.as_str()).bind(now).execute(&self.pool).await?.rows_affected() == 1)
    }
}

pub(crate) async fn intent(connection: &mut SqliteConnection, id: &str) -> Result<Option<Intent>, Error> {
    let row = sqlx::query("select * from intent where id = $1").bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read_intent).transpose()
}

pub(crate) async fn insert_intent(tx: &mut Tx, intent: &Intent) -> Result<(), Error> {
    let query = "insert into intent (id, amount, currency, payment_method, order_id, status, amount_captured,
            amount_refunded, created)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(query)
        .bind(&intent.id)
        .bind(intent.amount)
        .bind(&intent.currency)
        .bind(intent.card.id())
        .bind(&intent.order_id)
        .bind(intent.status.name())
        .bind(intent.amount_captured)
        .bind(intent.amount_refunded)
        .bind(intent.created)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(crate) async fn update_intent(tx: &mut Tx, intent: &Intent) -> Result<(), Error> {
    let query = "update intent set status = $2, amount_captured = $3, amount_refunded = $4 where id = $1";
    sqlx::query(query)
        .bind(&intent.id)
        .bind(intent.status.name())
        .bind(intent.amount_captured)
        .bind(intent.amount_refunded)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(crate) async fn insert_refund(tx: &mut Tx, refund: &Refund) -> Result<(), Error> {
    sqlx::query("insert into refund (id, intent_id, amount, created) values ($1, $2, $3, $4)")
        .bind(&refund.id)
        .bind(&refund.payment_intent)
        .bind(refund.amount)
        .bind(refund.created)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps the answer, in the transaction of what it answers for.
pub(crate) async fn save_answer(
    tx: &mut Tx,
    key: &Key,
    fingerprint: &str,
    answer: &Answer,
    now: i64,
) -> Result<(), Error> {
    sqlx::query("insert into saved_answer (key, fingerprint, status, body, saved_at) values ($1, $2, $3, $4, $5)")
        .bind(key.as_str())
        .bind(fingerprint)
        .bind(answer.status)
        .bind(&answer.body)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets the keys that are older than `oldest`, a few at a time: each request that adds one pays for its share.
pub(crate) async fn forget_keys(tx: &mut Tx, oldest: i64) -> Result<(), Error> {
    let answers = "delete from saved_answer where key in (select key from saved_answer where saved_at < $1 limit 10)";
    sqlx::query(answers).bind(oldest).execute(&mut **tx).await?;
    let failures = "delete from failed_once where key in (select key from failed_once where failed_at < $1 limit 10)";
    sqlx::query(failures).bind(oldest).execute(&mut **tx).await?;
    Ok(())
}

fn read_intent(row: &SqliteRow) -> Result<Intent, Error> {
    let card: String = row.try_get("payment_method")?;
    let status: String = row.try_get("status")?;
    Ok(Intent {
        id: row.try_get("id")?,
        amount: row.try_get("amount")?,
        currency: row.try_get("currency")?,
        card: Card::of(&card).ok_or(Error::Unknown { what: "the card", word: card })?,
        order_id: row.try_get("order_id")?,
        status: Status::of(&status).ok_or(Error::Unknown { what: "the status", word: status })?,
        amount_captured: row.try_get("amount_captured")?,
        amount_refunded: row.try_get("amount_refunded")?,
        created: row.try_get("created")?,
    })
}
