//! `instances`: how long a saga takes with two instances of each service, to which the orders go in turn, beside one of each.
//!
//! What the instance commits that does not publish has to reach the one that does.

use std::sync::Arc;

use anyhow::Result;

use super::saga::{self, Measured};
use crate::{
    harness::Sample,
    load::{self, Broker},
    report::{Reach, Row},
    shop::{Databases, Shop},
    stage::Stage,
};

pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    // A server each: the streams of the one shop are not the other's.
    let (one, two) = (Broker::start(stage).await?, Broker::start(stage).await?);
    let one = Arc::new(Shop::start(stage, &one, Databases::Postgres, 1).await?);
    let two = Arc::new(Shop::start(stage, &two, Databases::Postgres, 2).await?);
    for per_second in [5, 20] {
        let sagas = stage.size(20 * per_second, per_second);
        let rate = load::float(per_second);
        let (mut of_two, mut of_one) = (Vec::new(), Vec::new());
        for _ in 0..stage.runs {
            of_two.push(saga::open(&two, sagas, rate).await?);
            of_one.push(saga::open(&one, sagas, rate).await?);
        }
        let sample = |runs: &[Measured], of: fn(&Measured) -> f64| Sample::new(runs.iter().map(of).collect());
        let work = format!("{sagas} orders at {per_second}/s to two instances of each service in turn; one of each");
        for (percent, of) in [("p50", (|run| run.p50) as fn(&Measured) -> f64), ("p99", |run| run.p99)] {
            let samples = (sample(&of_two, of), sample(&of_one, of));
            let reach = if percent == "p50" { Reach::AtMost(1.3) } else { Reach::Stated };
            rows.push(Row::new(&format!("instances {per_second}/s {percent}"), &work, "ms", samples, reach));
        }
    }
    for shop in [one, two] {
        if let Ok(shop) = Arc::try_unwrap(shop) {
            shop.stop().await?;
        }
    }
    Ok(rows)
}
