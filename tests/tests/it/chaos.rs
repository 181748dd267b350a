//! The shop, and travel, under disturbances: two instances of each service, a NATS cluster of three, PostgreSQL with a synchronous standby,
//! and a record of everything, which is checked afterwards.
//!
//! `CHAOS_SECONDS` and `CHAOS_SEED` say how long and which disturbances, `CHAOS_CUSTOMERS` how many order at once, `CHAOS_HISTORY` where
//! the record is kept; `just chaos` sets them.

mod clock;
mod customers;
mod disk;
mod disturbance;
mod nats;
mod preloaded;
mod recoveries;
mod shop;
mod travel;
mod world;

use std::{collections::BTreeMap, env, str::FromStr, time::Duration};

use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::{
    Violation,
    history::{Disturbed, Felt},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use self::{customers::Customers, disturbance::Disturbance, shop::Counter, travel::Agency, world::World};

/// For an order, disturbances and all.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_holds_whatever_is_done_to_it() {
    let seed = setting("CHAOS_SEED", 14);
    let (mut world, shop) = Counter::open().await;
    let customers = Customers::arrive(setting("CHAOS_CUSTOMERS", 16), shop.orders(seed, PATIENCE));
    let disturbances = disturb(&mut world, seed).await;
    let orders = customers.leave().await;
    shop.note(&world.recorder, &orders).await;
    conclude(&world, &format!("{} orders, {disturbances} disturbances", orders.len()), async || {
        shop.audit(&orders).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_hold_whatever_is_done_to_them() {
    let seed = setting("CHAOS_SEED", 15);
    let (mut world, agency) = Agency::open().await;
    let travellers = Customers::arrive(setting("CHAOS_CUSTOMERS", 16), agency.trips(seed));
    let disturbances = disturb(&mut world, seed).await;
    let trips = travellers.leave().await;
    agency.note(&world.recorder, &trips);
    conclude(&world, &format!("{} trips, {disturbances} disturbances", trips.len()), async || {
        agency.audit(&trips).await
    })
    .await;
}

/// Disturbs the world, alone and mixed, until the time is over; returns how often.
async fn disturb(world: &mut World, seed: u64) -> usize {
    let during = Duration::from_secs(setting("CHAOS_SECONDS", 60));
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={}", during.as_secs());
    let mut random = StdRng::seed_from_u64(seed);
    // Some hold on for longer than any lease and ack wait; not in a short run.
    let longest = if during > Duration::from_mins(5) { 40_000 } else { 6_000 };
    let until = Instant::now() + during;
    let mut count = 0;
    while Instant::now() < until {
        let at_once = Disturbance::some(&mut random, world);
        count += at_once.len();
        let from = SystemClock.now();
        for disturbance in &at_once {
            disturbance.begin(world).await;
        }
        let long = random.random_bool(0.15);
        sleep(Duration::from_millis(random.random_range(100..if long { longest } else { 1_500 }))).await;
        for disturbance in &at_once {
            disturbance.end(world).await;
        }
        let to = SystemClock.now();
        for disturbance in at_once {
            let (what, service) = (disturbance.to_string(), disturbance.service(world).map(str::to_owned));
            world.recorder.note(Disturbed { what, service, from, to });
        }
        sleep(Duration::from_millis(random.random_range(200..1_500))).await;
    }
    count
}

/// Checks what happened, once it is over, and how the books look.
async fn conclude(world: &World, what: &str, audit: impl AsyncFnOnce() -> (usize, Vec<Violation>)) {
    let (history, report) = world.at_rest(&[]).await;
    let (looked_at, unbalanced) = audit().await;
    let report = report.and("the books balance", looked_at, unbalanced);
    if let Ok(file) = env::var("CHAOS_HISTORY") {
        history.save(file).unwrap();
    }
    println!("{what}\n{}\n{report}", felt(report.felt()));
    assert!(report.passed(), "{report}");
    let unseen = report.laws().iter().find(|law| law.looked_at == 0 && law.name != "nothing is given up");
    assert!(unseen.is_none(), "nothing to look at: {unseen:?}");
}

/// Of each kind of disturbance: how often, and the longest pause between two commits.
fn felt(felt: &[Felt]) -> String {
    let mut kinds: BTreeMap<&str, Vec<Option<Duration>>> = BTreeMap::new();
    for felt in felt {
        kinds.entry(felt.what.split(':').next().unwrap_or_default()).or_default().push(felt.pause);
    }
    let line = |(kind, pauses): (&str, Vec<Option<Duration>>)| {
        let never = pauses.iter().filter(|pause| pause.is_none()).count();
        let never = if never == 0 { String::new() } else { format!("; {never} times without a commit since") };
        let longest = pauses.iter().flatten().max().copied().unwrap_or_default().as_secs_f64();
        format!("{:>5} {kind}; at most {longest:.1} s between two commits{never}\n", pauses.len())
    };
    kinds.into_iter().map(line).collect()
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
