//! Events of one key are handled in order, and others go on meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use pavane::{
    Config, Envelope, Event, Handled, SagaId,
    any::{Db, Service, Tx},
    database::Config as DbConfig,
    on,
};
use pavane_bus::{Bus as _, Memory, Outgoing};
use pavane_contract::{EventId, SystemClock, codec, subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};

use crate::stage::{databases, envelope, until};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "notes.noted", key = key)]
struct Noted {
    key: u32,
    number: u32,
}

/// What was noted of each key, and a gate that key 0 has to pass.
struct Notes {
    noted: Mutex<BTreeMap<u32, Vec<u32>>>,
    gate: Semaphore,
}

impl Notes {
    fn of(&self, key: u32) -> Vec<u32> {
        self.noted.lock().unwrap().get(&key).cloned().unwrap_or_default()
    }
}

async fn note(notes: &Arc<Notes>, _: &mut Tx, event: &Envelope<Noted>) -> Handled {
    if event.key == 0 {
        notes.gate.acquire().await?.forget();
    }
    notes.noted.lock().unwrap().entry(event.key).or_default().push(event.number);
    Ok(())
}

async fn publish(bus: &Memory, event: &Noted) {
    let event = envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), event);
    let outgoing = Outgoing {
        subject: subject::of(&event.meta.event, &event.meta.key),
        headers: codec::encode(&event),
        payload: event.body.clone(),
        message_id: event.meta.id.to_string(),
    };
    bus.publish(vec![outgoing]).await.remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_key_are_handled_in_order_and_others_go_on() {
    const EVENTS: u32 = 40;
    // PostgreSQL: several transactions at once, of which one is held up below.
    let (url, _folder) = databases().await.remove(1);
    let bus = Memory::new(Arc::new(SystemClock));
    let notes = Arc::new(Notes { noted: Mutex::default(), gate: Semaphore::new(0) });
    let db = Db::open(DbConfig::new("notes", &url)).await.unwrap();
    let service =
        Service::new("notes", Arc::clone(&notes)).react("note", on(note).tuned(|tuning| tuning.batch_max = 7));
    let app = service.connect_to(db, bus.clone(), Config::new("")).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(app.run_until(async move { drop(stopped.await) }));

    publish(&bus, &Noted { key: 0, number: 0 }).await;
    until("the gate to hold key 0 up", || async { (bus.pending("notes_note")?.unsettled == 1).then_some(()) }).await;
    for number in 1..EVENTS {
        for key in 0..5 {
            publish(&bus, &Noted { key, number }).await;
        }
    }
    let in_order: Vec<_> = (1..EVENTS).collect();
    until("the other keys to go on", || async { (1..5).all(|key| notes.of(key) == in_order).then_some(()) }).await;
    assert!(notes.of(0).is_empty(), "key 0 is held up, and none of its events overtakes another");
    notes.gate.add_permits(EVENTS as usize);
    until("key 0", || async { (notes.of(0).len() == EVENTS as usize).then_some(()) }).await;
    assert_eq!(notes.of(0), (0..EVENTS).collect::<Vec<_>>());
    drop(stop);
    running.await.unwrap().unwrap();
}
