//! What handlers leave to be done after the commit that they share.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use pavane::{
    Config, Envelope, Event, Handled, HandlerError, Key, SagaId,
    any::{Db, Service, Tx},
    database::Config as DbConfig,
    internal::into_parts,
    on,
};
use pavane_bus::{Bus as _, Memory, Outgoing};
use pavane_contract::{EventId, SystemClock, codec, subject};
use pavane_inbox::internal::turn_now;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::{databases, envelope};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Noted {
    key: String,
}

impl Event for Noted {
    const NAME: &'static str = "writer.noted";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.key.as_str().into()
    }
}

type Called = Arc<Mutex<Vec<String>>>;

async fn file(called: &Called, tx: &mut Tx, noted: &Envelope<Noted>) -> Handled {
    let (called, key) = (Arc::clone(called), noted.key.clone());
    tx.after_commit(move || {
        assert_ne!(key, "b-panics");
        called.lock().unwrap().push(key);
    });
    if noted.key == "b-fails" { Err(HandlerError::reject("it can't be filed")) } else { Ok(()) }
}

#[tokio::test]
async fn what_a_batch_leaves_for_after_its_commit_is_done_once() {
    for (url, _folder) in databases().await {
        let bus = Memory::new(Arc::new(SystemClock));
        let db = Db::open(DbConfig::new("clerk", &url)).await.unwrap();
        let called = Called::default();
        let service = Service::new("clerk", Arc::clone(&called)).react("file", on(file));
        let app = service.connect_to(db, bus.clone(), Config::new("")).await.unwrap();
        let mut consumer = into_parts(app).0.into_iter().next().unwrap();
        for (keys, expected) in [
            // All at once.
            (["a", "b", "c"], vec!["a", "b", "c"]),
            // Undone, and then one by one.
            (["a", "b-fails", "c"], vec!["a", "c"]),
            (["a", "b-panics", "c"], vec!["a", "c"]),
        ] {
            for key in keys {
                let id = EventId::new(&SystemClock);
                let event = envelope(id, SagaId::new(&SystemClock), &Noted { key: key.to_owned() });
                let (subject, headers) = (subject::of(&event.meta.event, &event.meta.key), codec::encode(&event));
                let outgoing = Outgoing { subject, headers, payload: event.body, message_id: id.to_string() };
                bus.publish(vec![outgoing]).await.remove(0).unwrap();
            }
            assert_eq!(turn_now(&mut consumer, keys.len()).await.unwrap(), keys.len(), "all in one batch");
            assert_eq!(mem::take(&mut *called.lock().unwrap()), expected, "{keys:?}");
            let pending = bus.pending("clerk_file").unwrap();
            assert_eq!((pending.unsettled, pending.undelivered), (0, 0), "a panic is no failure of the event");
        }
    }
}
