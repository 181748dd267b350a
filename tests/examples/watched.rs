//! Watches the shop while it handles many orders, and tells every false alarm: a saga that is called stuck although its
//! order ends well.
//!
//! `cargo run --release -p shop-tests --example watched [orders] [at once]`
#![expect(clippy::print_stdout, reason = "it reports")]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{
    customer, scenario,
    shop::{Options, Running},
};
use pavane_bus::{JetStream, jetstream::Config};
use pavane_observe::{Feed, Limits, State, View};
use pavane_testkit::servers::{Nats, Tools};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> Result<()> {
    let number = |at: usize, default: usize| match std::env::args().nth(at) {
        Some(number) => number.parse().with_context(|| format!("{number} is no number")),
        None => Ok(default),
    };
    let (orders, at_once) = (number(1, 10_000)?, number(2, 16)?);
    let nats = Nats::start(&Tools::from_env()).await?;
    let shop = Running::start(Options::new(nats.url(), None)).await?;
    customer::fill_shelves(shop.shop(), orders).await?;
    let bus = JetStream::connect(Config::new(nats.url(), "watched")).await?;
    let (mut feed, mut view) = (Feed::new(bus), View::new(Limits::default()));
    let customers = shop.shop().clone();
    let placing =
        tokio::spawn(async move { customer::place_all(&customers, scenario::draw(orders, 1), at_once, || {}).await });
    let started = Instant::now();
    let (mut alarms, mut applying) = (0, Duration::ZERO);
    loop {
        let updates = Box::pin(feed.next()).await?;
        let begun = Instant::now();
        view.apply(updates);
        applying += begun.elapsed();
        for stuck in view.stuck() {
            alarms += 1;
            println!("{:?} {} {:?}", stuck.state, stuck.key, stuck.waits_for);
        }
        let states = view.overview().states;
        let ended = states[&State::Completed] + states[&State::Compensated];
        if placing.is_finished() && ended == orders as u64 {
            break;
        }
    }
    placing.await??;
    let metrics = view.metrics();
    println!(
        "{orders} orders in {:.1} s ({} completed, {} compensated), {:.1} s of it spent on the view, {alarms} false alarms",
        started.elapsed().as_secs_f64(),
        metrics.completed_total,
        metrics.compensated_total,
        applying.as_secs_f64(),
    );
    shop.stop().await;
    ensure!(alarms == 0, "there were false alarms");
    Ok(())
}
