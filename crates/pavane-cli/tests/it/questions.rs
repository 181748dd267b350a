//! `questions`: what a running service asks, and that the answer ends it.

use std::time::Duration;

use pavane::{
    Config, Correlation, Declared, EntryPoint, Event, Saga, SagaId,
    any::{App, Service},
};
use pavane_bus::Bus as _;
use pavane_testkit::{FreshDatabase, until};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    command::{assert_said, pavane},
    stage::Stage,
};

const BOOK: EntryPoint = EntryPoint::new("book");
const APPROVE: EntryPoint = EntryPoint::new("approve");

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = trip)]
        struct $name {
            trip: String,
        }
    };
}

event!(PriceAsked, "trip.price-asked");
event!(ApprovalExpired, "trip.approval-expired");
event!(PriceApproved, "trip.price-approved");
event!(PriceRefused, "trip.price-refused");

fn service() -> Service<()> {
    let approve = |entry: Declared| {
        entry.answers::<PriceAsked>().expires_with::<ApprovalExpired>().emits_one_of::<(PriceApproved, PriceRefused)>()
    };
    Service::new("trip", ())
        .entry(&BOOK, |entry| entry.emits::<PriceAsked>().schedules::<ApprovalExpired>())
        .entry(&APPROVE, approve)
        .saga(
            Saga::new("trip")
                .starts_with::<PriceAsked>()
                .completes_with::<PriceApproved>()
                .aborts_with::<PriceRefused>(),
        )
}

async fn connect(stage: &Stage, database: &FreshDatabase) -> App<()> {
    let app = service().connect(Config::new(stage.url()).database(database.url())).await;
    app.unwrap()
}

fn run(app: App<()>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    (stop, tokio::spawn(async move { app.run_until(async move { drop(stopped.await) }).await.unwrap() }))
}

async fn book(app: &App<()>, trip: &str) -> SagaId {
    let mut tx = app.entry(&BOOK).begin(Correlation::start()).await.unwrap();
    let saga = tx.saga();
    tx.emit(&PriceAsked { trip: trip.to_owned() }).await.unwrap();
    tx.emit_after(Duration::from_hours(24), &ApprovalExpired { trip: trip.to_owned() }).await.unwrap();
    tx.commit().await.unwrap();
    saga
}

/// How many events the stream has.
async fn stored(stage: &Stage, count: u64) {
    let stored = async || (stage.bus.stream_state().await.unwrap().last_sequence >= count).then_some(());
    until("the events to be published", stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_question_is_listed_until_it_is_answered() {
    let stage = Stage::empty().await;
    let app = connect(&stage, &FreshDatabase::sqlite()).await;
    let approve = app.entry(&APPROVE);
    let sagas = [book(&app, "7").await, book(&app, "8").await];
    let (stop, running) = run(app);
    stored(&stage, 2).await;
    let url = stage.url();
    let open = pavane(&url, &["questions"]).await;
    assert_eq!((open.code, open.err.as_str()), (0, ""));
    let text = sagas.iter().fold(open.out, |text, saga| text.replace(&saga.to_string(), "[saga]"));
    assert_said!(text);
    let traced = pavane(&url, &["trace", "7"]).await.out;
    assert!(traced.contains("for a person: trip.price-approved or trip.price-refused at trip/approve"), "{traced}");

    let mut tx = approve.answer(sagas[0], "clerk-7").await.unwrap();
    tx.emit(&PriceApproved { trip: "7".to_owned() }).await.unwrap();
    tx.commit().await.unwrap();
    stored(&stage, 3).await;
    let json = pavane(&url, &["questions", "--json"]).await.json();
    let questions = json["questions"].as_array().unwrap();
    assert_eq!((questions.len(), &questions[0]["key"]), (1, &"8".into()));
    assert_eq!(questions[0]["expires_with"], "trip.approval-expired");
    let mut tx = approve.answer(sagas[1], "clerk-7").await.unwrap();
    tx.emit(&PriceRefused { trip: "8".to_owned() }).await.unwrap();
    tx.commit().await.unwrap();
    stored(&stage, 4).await;
    assert_eq!(pavane(&url, &["questions"]).await.out, "no question is open\n");
    drop(stop);
    running.await.unwrap();
}
