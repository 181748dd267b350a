//! How many seeds it takes to find each planted mistake.

use std::fmt;

use pavane::sqlx::Any;
use pavane_testkit::{Simulation, System, simulate};

use crate::{books, shop};

/// Seeds that are tried before a mistake counts as not found.
const MOST: u64 = 300;
/// Sagas in each run.
const SAGAS: usize = 20;

/// A mistake, and after how many seeds it was found.
pub(crate) struct Found {
    bug: String,
    sentence: &'static str,
    /// `None` when it was not found.
    pub(crate) seeds: Option<u64>,
    /// The invariant that it violates.
    invariant: String,
}

/// Looks for every mistake.
pub(crate) fn find_all() -> impl Iterator<Item = Found> {
    let framework = pavane_testkit::Bug::ALL.into_iter().map(|bug| {
        let simulation = simulate(books::shop).planting(bug);
        find(bug.to_string(), bug.sentence(), simulation)
    });
    let own = shop::Bug::ALL.into_iter().map(|bug| {
        let simulation = simulate(move |system: &mut System| books::with_bug(system, Some(bug)));
        find(format!("{bug:?}"), bug.sentence(), simulation)
    });
    framework.chain(own)
}

fn find<B: Fn(&mut System) + Send + Sync>(
    bug: String,
    sentence: &'static str,
    simulation: Simulation<Any, B>,
) -> Found {
    let wrong = simulation.sagas(SAGAS).seeds(0..MOST).first_wrong();
    let invariant = wrong.as_ref().and_then(|run| run.violations.first()).map(|violation| violation.invariant.clone());
    let seeds = wrong.map(|run| run.plan.seed + 1);
    Found { bug, sentence, seeds, invariant: invariant.unwrap_or_default() }
}

impl fmt::Display for Found {
    /// A row of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds.map_or_else(|| "not found".to_owned(), |seeds| seeds.to_string());
        write!(f, "| {} | {} | {seeds} | {} |", self.bug, self.sentence, self.invariant)
    }
}
