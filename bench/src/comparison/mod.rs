//! The same shop by other means: two-phase commit, and an orchestrated saga.
//!
//! Everybody gets the same orders, the same payment provider and the same PostgreSQL server with a database per service.
//! `experiment` measures, `page` tells: `docs/why-not-2pc.md`.

mod audit;
mod databases;
mod door;
mod experiment;
mod front;
mod kill;
mod load;
mod orchestrated;
mod order;
mod page;
mod plot;
mod provider;
mod role;
mod shop;
mod store;
mod two_phase;
#[cfg(test)]
mod world;

use anyhow::Result;

use crate::{report::Row, stage::Stage};

/// The name by which the comparison is asked for.
pub(crate) const NAME: &str = "why-not-2pc";

/// Measures the baselines beside Pavane, and writes the page about it; or plays a part in that, when the environment says so.
///
/// # Errors
///
/// When a server can't be started or something didn't happen as it must.
pub(crate) async fn run(stage: &Stage) -> Result<Vec<Row>> {
    if let Some(role) = role::asked_for() {
        Box::pin(role::play(&role)).await?;
        // The part is over, and so is this process's business.
        return Ok(Vec::new());
    }
    let (plan, results) = experiment::run(stage).await?;
    if !stage.smoke {
        page::write(&plan, &results)?;
    }
    results.rows()
}
