//! Real services, two instances each, on a real nats-server and PostgreSQL: what happened is recorded and right, and whatever is changed in
//! the record is found.

mod planted;

use std::{collections::BTreeMap, time::Duration};

use pavane::{
    Config, Correlation, SagaId, Timestamp,
    any::{App, Entry, Service},
    contract::Clock as _,
};
use pavane_contract::{Envelope, SystemClock};
use pavane_testkit::{
    history::{Answered, Called, Disturbed, History, Recorder, Report},
    servers::{Nats, Postgres, Tools},
    until,
};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    price::ANSWER,
    trip::{
        BOOK, CANCEL, DEADLINE, DeadlinePassed, Hotel, Points, PriceAsked, PriceSettled, TripCancelled, TripRequested,
        car, flight, hotel, trip,
    },
};

const TRIPS: usize = 14;

/// The four services of the trip, as they run in production.
struct Trips {
    recorder: Recorder,
    databases: BTreeMap<String, String>,
    instances: JoinSet<()>,
    stop: CancellationToken,
    nats: Nats,
}

impl Trips {
    async fn start() -> (Self, [Entry; 3]) {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        let recorder = Recorder::new(nats.url());
        let (databases, instances, stop) = (BTreeMap::new(), JoinSet::new(), CancellationToken::new());
        let mut trips = Self { recorder, databases, instances, stop, nats };
        let (points, rooms) = (Points::default(), Hotel::default());
        points.repair();
        let app = trips.add("trip", || trip(points.clone())).await;
        let entries = [BOOK, CANCEL, ANSWER].map(|point| app.entry(&point));
        trips.run(app);
        for app in [trips.add("flight", flight).await, trips.add("car", car).await] {
            trips.run(app);
        }
        let app = trips.add("hotel", || hotel(rooms.clone())).await;
        trips.run(app);
        (trips, entries)
    }

    /// Starts an instance, and returns another one.
    async fn add<S: Send + Sync + 'static>(&mut self, name: &str, service: impl Fn() -> Service<S>) -> App<S> {
        let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
        let config = || Config::new(self.nats.url()).database(&url);
        let first = service().connect(config()).await.unwrap();
        self.recorder.audit(name, &url).await.unwrap();
        self.databases.insert(name.to_owned(), url.clone());
        let second = service().connect(config()).await.unwrap();
        self.run(first);
        second
    }

    fn run<S: Send + Sync + 'static>(&mut self, app: App<S>) {
        let stop = self.stop.clone();
        self.instances.spawn(async move { app.run_until(stop.cancelled_owned()).await.unwrap() });
    }
}

/// Trips that are confirmed, refused and cancelled, recorded until they have come to rest; with SQL that is run in a service's database
/// before.
async fn recorded(mistake: Option<(&str, &'static str)>, within: Duration) -> (History, Report) {
    let (mut trips, [book, cancel, answer]) = Trips::start().await;
    if let Some((service, sql)) = mistake {
        let mut conn = PgConnection::connect(&trips.databases[service]).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    }
    let from = now();
    for number in 0..TRIPS {
        let saga = request(&book, number).await;
        trips.recorder.note(Answered { at: now(), what: format!("book {number}"), saga: Some(saga), accepted: true });
        if number % 4 == 3 {
            let mut tx = cancel.begin(Correlation::of(saga)).await.unwrap();
            let _outcome = tx.decide(&TripCancelled { trip: number.to_string() }).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    trips.recorder.note(Disturbed { what: "nothing".to_owned(), service: Some("car".to_owned()), from, to: from });
    let call = Called { at: from, what: "room".to_owned(), key: "1".to_owned(), effective: true };
    trips.recorder.note(Called { effective: false, ..call.clone() });
    trips.recorder.note(call);
    until("no open question", || async { agree(&answer).await.then_some(()) }).await;
    let recorded = trips.recorder.settled(within).await.unwrap();
    trips.stop.cancel();
    while let Some(ended) = trips.instances.join_next().await {
        ended.unwrap();
    }
    recorded
}

async fn request(book: &Entry, number: usize) -> SagaId {
    let mut tx = book.begin(Correlation::start()).await.unwrap();
    let (saga, trip) = (tx.saga(), number.to_string());
    tx.emit(&TripRequested { trip: trip.clone(), passengers: 2 }).await.unwrap();
    tx.emit_after(DEADLINE, &DeadlinePassed { trip }).await.unwrap();
    tx.commit().await.unwrap();
    saga
}

/// Answers what is asked. Whether a question was, and none is any more.
async fn agree(answer: &Entry) -> bool {
    let open = answer.open_questions(100).await.unwrap();
    for question in &open {
        // It may have been cancelled meanwhile.
        let Ok(mut tx) = answer.answer(question.saga, "a customer").await else { continue };
        let asked = tx.question().map(Envelope::decode::<PriceAsked>).unwrap().unwrap();
        tx.emit(&PriceSettled { trip: asked.trip.clone() }).await.unwrap();
        tx.commit().await.unwrap();
    }
    open.is_empty()
}

fn now() -> Timestamp {
    SystemClock.now()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_real_services_do_is_recorded_and_right_and_every_planted_violation_is_found() {
    let (history, report) = recorded(None, Duration::from_mins(1)).await;
    assert!(report.passed(), "{report}");
    // Of nothing, everything is true.
    for law in report.laws().iter().filter(|law| law.name != "nothing is given up") {
        assert!(law.looked_at > 0, "nothing to look at: {report}");
    }
    assert!(report.felt()[0].pause.is_some(), "{:?}", report.felt());

    let file = tempfile::NamedTempFile::new().unwrap();
    history.save(file.path()).unwrap();
    let loaded = History::load(file.path()).unwrap();
    assert_eq!(loaded.records(), history.records());

    planted::each_is_found(&history);
}

/// What goes wrong in the services themselves is found, too, not only what is wrong in a record.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_makes_a_mistake_is_found() {
    // Every second event of the car service is forgotten before it is published.
    const FORGETS: &str = "create function forget() returns trigger language plpgsql as $$ begin \
            delete from pavane_unsent where seq = new.seq; return null; end $$; \
        create trigger forgets after insert on pavane_unsent for each row when (new.seq % 2 = 0) execute function forget()";
    let (_, report) = recorded(Some(("car", FORGETS)), Duration::from_secs(3)).await;
    let found: Vec<_> = report.violations().map(|it| (it.invariant.as_str(), it.what.as_str())).collect();
    let lost =
        ("what is committed is published, and nothing else", "car.held v1 was committed, and is not in the stream");
    assert!(found.contains(&lost), "{report}");
    assert!(found.iter().any(|(law, _)| *law == "what is accepted ends"), "{report}");
}
