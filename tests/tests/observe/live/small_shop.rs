//! A shop, its bank and its postman: three services, quick to call stuck.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pavane::{
    Config, Correlation, Declared, Envelope, Event, Handled, HandlerError, Saga, Tuning,
    any::{Call, Entry, Service, Tx},
    on, on_effect,
};
use pavane_testkit::servers::Nats;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

const ORDER: pavane::EntryPoint = pavane::EntryPoint::new("order");

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = key)]
        pub(crate) struct $name {
            key: String,
        }
    };
}

event!(Ordered, "shop.ordered");
event!(Paid, "bank.paid");
event!(Refused, "bank.refused");
event!(Bought, "shop.bought");
event!(GivenUp, "shop.given-up");

/// What the bank did.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    refuses: AtomicBool,
    charged: Mutex<BTreeMap<String, usize>>,
}

impl Bank {
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// How often the effect ran, by key.
    pub(crate) fn charged(&self) -> BTreeMap<String, usize> {
        self.charged.lock().unwrap().clone()
    }
}

type State = Arc<Bank>;

async fn charge(bank: &State, _: &Call<'_>, order: &Envelope<Ordered>) -> Result<(), HandlerError> {
    if bank.refuses.load(Ordering::Relaxed) {
        return Err(HandlerError::reject("the bank is closed"));
    }
    *bank.charged.lock().unwrap().entry(order.key.clone()).or_default() += 1;
    Ok(())
}

async fn record_charge(_: &State, tx: &mut Tx, order: &Envelope<Ordered>, (): ()) -> Handled {
    tx.emit(&Paid { key: order.key.clone() }).await?;
    Ok(())
}

async fn deliver(_: &State, tx: &mut Tx, paid: &Envelope<Paid>) -> Handled {
    let _outcome = tx.decide(&Bought { key: paid.key.clone() }).await?;
    Ok(())
}

async fn give_up(_: &State, tx: &mut Tx, refused: &Envelope<Refused>) -> Handled {
    let _outcome = tx.decide(&GivenUp { key: refused.key.clone() }).await?;
    Ok(())
}

async fn write(_: &State, _: &mut Tx, _: &Envelope<Bought>) -> Handled {
    Ok(())
}

fn hurried(tuning: &mut Tuning) {
    tuning.stuck_after = Duration::from_secs(1);
}

fn service(name: &str, bank: State) -> Service<State> {
    let service = Service::new(name, bank);
    match name {
        "shop" => service
            .saga(Saga::new("purchase").starts_with::<Ordered>().completes_with::<Bought>().aborts_with::<GivenUp>())
            .entry(&ORDER, Declared::emits::<Ordered>)
            .react("deliver", on(deliver).decides::<Bought>().tuned(hurried))
            .react("give-up", on(give_up).decides::<GivenUp>().tuned(hurried)),
        "bank" => {
            service.react("charge", on_effect(charge, record_charge).emits_one_of::<(Paid, Refused)>().tuned(hurried))
        }
        _ => service.react("write", on(write).tuned(hurried)),
    }
}

/// A service that runs: what stops it, and what it ends with.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), pavane::Error>>);

pub(crate) struct SmallShop {
    nats: String,
    folder: TempDir,
    bank: State,
    running: BTreeMap<&'static str, Running>,
    entry: Option<Entry>,
}

const SERVICES: [&str; 3] = ["shop", "bank", "postman"];

impl SmallShop {
    pub(crate) async fn start(nats: &Nats) -> Self {
        let mut shop = Self {
            nats: nats.url(),
            folder: TempDir::new().unwrap(),
            bank: State::default(),
            running: BTreeMap::new(),
            entry: None,
        };
        for service in SERVICES {
            shop.run(service).await;
        }
        shop
    }

    pub(crate) fn bank(&self) -> &Bank {
        &self.bank
    }

    pub(crate) async fn run(&mut self, name: &str) {
        let name = SERVICES.into_iter().find(|service| *service == name).unwrap();
        let database = format!("sqlite:{}", self.folder.path().join(format!("{name}.db")).display());
        let app =
            service(name, Arc::clone(&self.bank)).connect(Config::new(&self.nats).database(database)).await.unwrap();
        if name == "shop" {
            self.entry = Some(app.entry(&ORDER));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
        self.running.insert(name, (stop, task));
    }

    pub(crate) async fn stop(&mut self, name: &str) {
        if let Some((stop, task)) = self.running.remove(name) {
            drop(stop);
            task.await.unwrap().unwrap();
        }
    }

    pub(crate) async fn buy(&self, key: &str) {
        let mut tx = self.entry.as_ref().unwrap().begin(Correlation::start()).await.unwrap();
        tx.emit(&Ordered { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn end(mut self) {
        for service in SERVICES {
            self.stop(service).await;
        }
    }
}
