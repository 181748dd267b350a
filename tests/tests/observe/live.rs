//! Over a real nats-server: the shop itself, and a small shop whose bank can be made to fail.

mod small_shop;

use std::time::Duration;

use demo::{
    customer,
    scenario::{self, End},
    shop::{Options, Running},
};
use pavane_bus::{JetStream, jetstream::Config, topology::EVENTS};
use pavane_contract::SystemClock;
use pavane_observe::{
    Feed, Filter, LetterFilter, Limits, SagaSummary, State, View,
    audit::{self, Because},
    dead_letter_at, event_at,
    redrive::{self, Options as RedriveOptions, Progress},
};
use pavane_testkit::servers::{Nats, Tools};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use small_shop::SmallShop;

async fn connect(nats: &Nats) -> JetStream {
    JetStream::connect(Config::new(nats.url(), "monitor")).await.unwrap()
}

/// Everything that is there, at a moment.
async fn look(bus: &JetStream) -> View {
    let mut view = View::new(Limits::default());
    Feed::new(bus.clone()).load_into(|updates| view.apply(updates)).await.unwrap();
    view
}

/// Follows the feed until something is so.
async fn follow(feed: &mut Feed, view: &mut View, what: &str, so: impl Fn(&View) -> bool) {
    let following = async {
        while !so(view) {
            match feed.next().await {
                Ok(updates) => view.apply(updates),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let followed = tokio::time::timeout(Duration::from_mins(1), following).await;
    assert!(followed.is_ok(), "not so after a minute: {what}: {:?} {:?}", view.overview(), view.stuck());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_the_shop_is_told_truly_and_nothing_is_stuck() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = connect(&nats).await;
    // Before there is anything to read.
    let (mut feed, mut view) = (Feed::new(bus.clone()), View::new(Limits::default()));
    view.apply(feed.next().await.unwrap());
    let shop = Running::start(Options::new(nats.url(), None)).await.unwrap();
    customer::fill_shelves(shop.shop(), 40).await.unwrap();
    let orders = customer::place_all(shop.shop(), scenario::draw(40, 11), 16, || {}).await.unwrap();
    let ended = |view: &View| {
        let sagas = view.sagas(&Filter::default()).sagas;
        let ended = |saga: &SagaSummary| {
            matches!(saga.state, State::Completed | State::Compensated) && saga.waits_for.is_none()
        };
        sagas.len() == orders.len() && sagas.iter().all(ended)
    };
    follow(&mut feed, &mut view, "all orders have ended", ended).await;
    let flow = view.flow();
    assert_eq!(view.overview().services, ["inventory", "notification", "order", "payment", "shipping"]);
    assert!(flow.reactions.iter().all(|reaction| reaction.consumer.is_some()), "{flow:?}");
    assert!(flow.foreign_consumers.is_empty(), "{flow:?}");
    // One that looks later sees the same.
    let later = look(&bus).await;
    for view in [&view, &later] {
        assert!(view.stuck().is_empty(), "{:?}", view.stuck());
        for order in &orders {
            let found = view.find(&order.order_id);
            assert_eq!(found.len(), 1, "{}", order.order_id);
            let saga = view.saga(found[0]).unwrap();
            let expected = if order.end == Some(End::Confirmed) { State::Completed } else { State::Compensated };
            assert_eq!(saga.summary.state, expected, "{:?} {saga:?}", order.scenario);
            assert!(saga.deviations.is_empty() && saga.outstanding.is_empty(), "{saga:?}");
            assert_eq!(saga.summary.key, order.order_id);
        }
    }
    let saga = view.saga(view.find(&orders[0].order_id)[0]).unwrap();
    let body = event_at(&bus, saga.timeline[0].sequence).await.unwrap().unwrap().redacted(&view).body.unwrap();
    assert_eq!(body["order_id"], orders[0].order_id);
    // Without reading what is about the others. Of a confirmed order nothing more comes while it is compared.
    let confirmed = orders.iter().find(|order| order.end == Some(End::Confirmed)).unwrap();
    let other = orders.iter().find(|order| order.order_id != confirmed.order_id).unwrap();
    let mut one = View::new(Limits::default());
    let mut feed = Feed::about(bus.clone(), &confirmed.order_id.as_str().into());
    feed.load_into(|updates| one.apply(updates)).await.unwrap();
    let id = view.find(&confirmed.order_id)[0];
    assert_eq!(one.saga(id).unwrap().timeline, view.saga(id).unwrap().timeline);
    assert!(one.find(&other.order_id).is_empty());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_is_named_and_cleared_when_it_is_back() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = connect(&nats).await;
    let (mut feed, mut view) = (Feed::new(bus.clone()), View::new(Limits::default()));
    let mut shop = SmallShop::start(&nats).await;
    shop.buy("book").await;
    follow(&mut feed, &mut view, "the book is bought", |view| view.overview().states[&State::Completed] == 1).await;
    for service in ["bank", "shop", "postman"] {
        let key = format!("while-{service}-is-away");
        if service == "shop" {
            // Who is away can't be bought from: it has to be the bank's answer that the shop doesn't hear.
            shop.stop("bank").await;
            shop.buy(&key).await;
            shop.stop("shop").await;
            shop.run("bank").await;
        } else {
            shop.stop(service).await;
            shop.buy(&key).await;
        }
        follow(&mut feed, &mut view, "the service is named", |view| {
            view.stuck().iter().any(|stuck| stuck.key == key && stuck.waits_on == [service])
        })
        .await;
        assert_eq!(view.stuck().len(), 1, "{:?}", view.stuck());
        shop.run(service).await;
        // Until everybody has handled it: or else it waits for the next one that is stopped, too.
        let handled = |view: &View| view.sagas(&Filter::default()).sagas.iter().all(|saga| saga.waits_for.is_none());
        follow(&mut feed, &mut view, "it is cleared", |view| view.stuck().is_empty() && handled(view)).await;
    }
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_never_runs_an_effect_twice() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = connect(&nats).await;
    let (mut feed, mut view) = (Feed::new(bus.clone()), View::new(Limits::default()));
    let shop = SmallShop::start(&nats).await;
    shop.bank().refuse(true);
    for key in ["one", "two", "three"] {
        shop.buy(key).await;
    }
    follow(&mut feed, &mut view, "three letters", |view| view.dead_letters(&LetterFilter::default()).len() == 3).await;
    assert!(view.stuck().iter().all(|stuck| stuck.state == State::Stuck && stuck.dead_letters == 1));
    let because = Because::new("an operator", "the bank is back").unwrap();
    // A dry run does nothing.
    let mut plan = view.plan(&LetterFilter::default());
    plan.look_at_bodies(&bus).await.unwrap();
    assert_eq!(plan.go(), 3, "{plan:?}");
    let mut dry = options();
    dry.dry_run = true;
    let done = run(&bus, &plan, &dry, &because).await;
    assert_eq!((done.redriven, done.finished), (3, true));
    let before = bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence;
    shop.bank().refuse(false);
    let done = run(&bus, &plan, &options(), &because).await;
    assert_eq!((done.redriven, done.skipped, done.failed), (3, 0, 0), "{done:?}");
    assert!(bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence >= before + 3);
    follow(&mut feed, &mut view, "all are bought", |view| view.overview().states[&State::Completed] == 3).await;
    assert_eq!(
        shop.bank().charged(),
        [("one", 1), ("three", 1), ("two", 1)].map(|(key, n)| (key.to_owned(), n)).into()
    );
    // Again, on purpose and against all advice: the inbox knows better.
    let mut filter = LetterFilter::default();
    filter.decided = true;
    let mut again = view.plan(&filter);
    assert_eq!(again.go(), 0, "{again:?}");
    again.insist();
    let done = run(&bus, &again, &options(), &because).await;
    assert_eq!(done.redriven, 3);
    shop.buy("last").await;
    follow(&mut feed, &mut view, "the last is bought and all decisions are read", |view| {
        let decisions = view.saga(view.find("three")[0]).unwrap().decisions;
        view.overview().states[&State::Completed] == 4 && decisions.len() == 2
    })
    .await;
    assert!(shop.bank().charged().values().all(|times| *times == 1), "{:?}", shop.bank().charged());
    let saga = view.saga(view.find("one")[0]).unwrap();
    assert_eq!(saga.decisions.len(), 2);
    assert_eq!(saga.decisions[0].reason, "the bank is back");
    assert!(saga.timeline[0].redriven_to.iter().all(|to| to == "bank/charge"), "{saga:?}");
    shop.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_discarded_sagas_resolved_and_runs_cancelled() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let bus = connect(&nats).await;
    let (mut feed, mut view) = (Feed::new(bus.clone()), View::new(Limits::default()));
    let shop = SmallShop::start(&nats).await;
    shop.bank().refuse(true);
    for number in 0..20 {
        shop.buy(&format!("n{number}")).await;
    }
    follow(&mut feed, &mut view, "the letters", |view| view.dead_letters(&LetterFilter::default()).len() == 20).await;
    let because = Because::new("an operator", "by hand").unwrap();
    assert!(Because::new("an operator", " ").is_err() && Because::new("", "why").is_err());
    // Cancelled midway: what was not redriven is still a dead letter.
    let cancel = CancellationToken::new();
    let (progress, mut watch) = watch::channel(Progress::default());
    let mut slowly = options();
    slowly.per_second = 20;
    let plan = view.plan(&LetterFilter::default());
    let running = redrive::run(&bus, &SystemClock, (&plan, &slowly), &because, (&progress, &cancel));
    let cancelling = async {
        watch.wait_for(|progress| progress.redriven >= 3).await.unwrap();
        cancel.cancel();
    };
    let (done, ()) = tokio::join!(running, cancelling);
    let done = done.unwrap();
    assert!(done.cancelled && done.finished && (3..10).contains(&done.redriven), "{done:?}");
    // They are refused again, as new letters.
    let open = |view: &View| view.dead_letters(&LetterFilter::default()).len();
    let mut all = LetterFilter::default();
    all.decided = true;
    follow(&mut feed, &mut view, "again", |view| {
        view.dead_letters(&all).len() == 20 + done.redriven && open(view) == 20
    })
    .await;

    let letter = view.dead_letters(&LetterFilter::default()).remove(0);
    let body = dead_letter_at(&bus, letter.sequence).await.unwrap().unwrap().redacted(&view);
    assert_eq!(body.body.unwrap()["key"], letter.key);
    redrive::discard(&bus, &SystemClock, &letter, &because).await.unwrap();
    assert!(redrive::discard(&bus, &SystemClock, &letter, &because).await.is_err(), "it is gone");
    let mut plan = view.plan(&LetterFilter::default());
    plan.look_at_bodies(&bus).await.unwrap();
    assert_eq!(plan.go(), 19, "the one that is gone can't be redriven");
    let other = view.dead_letters(&LetterFilter::default()).remove(1).saga.unwrap();
    audit::resolve(&bus, &SystemClock, other, &because).await.unwrap();
    follow(&mut feed, &mut view, "decided", |view| {
        open(view) == 19 && view.saga(other).unwrap().summary.state == State::Resolved
    })
    .await;
    // One that looks later knows it, too.
    let later = look(&bus).await;
    assert_eq!(later.overview().states, view.overview().states);
    shop.end().await;
}

fn options() -> RedriveOptions {
    let mut options = RedriveOptions::default();
    options.per_second = 1000;
    options
}

async fn run(bus: &JetStream, plan: &redrive::Plan, options: &RedriveOptions, because: &Because) -> Progress {
    let (progress, watch) = watch::channel(Progress::default());
    let cancel = CancellationToken::new();
    let done = redrive::run(bus, &SystemClock, (plan, options), because, (&progress, &cancel)).await.unwrap();
    assert_eq!(*watch.borrow(), done);
    done
}
