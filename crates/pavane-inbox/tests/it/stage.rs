//! One service with one reaction on PostgreSQL, which counts how often it handled what.

use std::sync::Arc;

use pavane::{
    Config, Envelope, Event, Handled, SagaId,
    any::{Service, Tx},
    internal::into_parts,
    on,
};
use pavane_bus::{Bus as _, Memory, Outgoing};
use pavane_contract::{Cause, EventId, EventRef, Meta, RawEnvelope, codec, subject};
use pavane_inbox::{Consumer, INBOX, internal::turn_now};
use pavane_outbox::{Config as DbConfig, Db, migration::Schema};
use pavane_testkit::servers::Postgres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Any;

use crate::clock::Ahead;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "writer.noted", key = what)]
struct Noted {
    what: String,
}

async fn file((): &(), tx: &mut Tx, noted: &Envelope<Noted>) -> Handled {
    sqlx::query("insert into filed values ($1)").bind(noted.meta.id.to_string()).execute(tx.conn()).await?;
    Ok(())
}

pub(crate) struct Stage {
    pub(crate) clock: Ahead,
    pub(crate) db: Db<Any>,
    bus: Memory,
    consumer: Consumer<(), Any, Memory>,
    published: usize,
}

impl Stage {
    /// On a database of its own.
    pub(crate) async fn open() -> Self {
        let clock = Ahead::default();
        Self::on(&fresh_url().await, clock).await
    }

    pub(crate) async fn on(url: &str, clock: Ahead) -> Self {
        let db = database(url, &clock).await;
        let bus = Memory::new(Arc::new(clock.clone()));
        let service = Service::new("clerk", ()).react("file", on(file));
        let app = service.connect_to(db.clone(), bus.clone(), Config::new("memory")).await.unwrap();
        sqlx::raw_sql("create table filed (id text not null)").execute(db.writers()).await.unwrap();
        let (consumers, _) = into_parts(app);
        let consumer = consumers.into_iter().next().unwrap();
        Self { clock, db, bus, consumer, published: 0 }
    }

    /// An id of this very moment.
    pub(crate) fn id(&self) -> EventId {
        EventId::new(&self.clock)
    }

    /// Delivers an event, for the first time or again, and returns how often it was handled by now.
    pub(crate) async fn deliver(&mut self, id: EventId) -> i64 {
        let what = Noted { what: id.to_string() };
        let (event, source) = (EventRef::of::<Noted>(), "writer".to_owned());
        let cause = Cause::new(SagaId::new(&self.clock), self.now());
        let meta = Meta { id, event, key: what.key(), source, time: self.now(), cause };
        let event: RawEnvelope = Envelope { meta: meta.into(), body: &what }.into_raw().unwrap();
        // Another message id each time: the broker's duplicate window must not be what skips it.
        self.published += 1;
        let message_id = format!("{id}-{}", self.published);
        let (subject, headers) = (subject::of(&event.meta.event, &event.meta.key), codec::encode(&event));
        let outgoing = Outgoing { subject, headers, payload: event.body, message_id };
        for settlement in self.bus.publish(vec![outgoing]).await {
            settlement.unwrap();
        }
        assert_eq!(turn_now(&mut self.consumer, 1).await.unwrap(), 1, "it is delivered");
        let filed = sqlx::query_scalar("select count(*) from filed where id = $1").bind(id.to_string());
        filed.fetch_one(self.db.readers()).await.unwrap()
    }

    /// The partition that an event's row is in.
    pub(crate) async fn partition_of(&self, id: EventId) -> Option<String> {
        let name = "select tableoid::regclass::text from pavane_inbox where event_id = $1::uuid";
        sqlx::query_scalar(name).bind(id.to_string()).fetch_optional(self.db.readers()).await.unwrap()
    }

    fn now(&self) -> pavane_contract::Timestamp {
        pavane_contract::Clock::now(&self.clock)
    }
}

pub(crate) async fn fresh_url() -> String {
    Postgres::shared().await.unwrap().fresh_database().await.unwrap()
}

pub(crate) async fn database(url: &str, clock: &Ahead) -> Db<Any> {
    let mut config = DbConfig::new("clerk", url);
    config.clock = Arc::new(clock.clone());
    Db::open(config).await.unwrap()
}

/// The inbox as it was before it had partitions.
pub(crate) async fn migrate_to_one_table(db: &Db<Any>) {
    db.migrate(&Schema { table: INBOX.table, scripts: &INBOX.scripts[..2] }).await.unwrap();
}
