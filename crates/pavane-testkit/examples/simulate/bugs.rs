//! How many seeds it takes to find each planted mistake.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use pavane_testkit::{Bug, Simulation, System, simulate};
use sqlx::Any;

use crate::{books, shop, trips};

/// Seeds that are tried before a mistake counts as not found.
const MOST: u64 = 50;
/// Sagas in each run.
const SAGAS: usize = 20;
/// Those that need joins, items or a question, which the shop has none of, and one that the trip shows sooner: there an undo often comes while the
/// effect of its step is called.
const IN_TRIPS: [Bug; 10] = [
    Bug::RunningIgnored,
    Bug::JoinNotBarred,
    Bug::JoinCountsDuplicates,
    Bug::JoinRunsAgain,
    Bug::JoinForgets,
    Bug::ItemNotUndone,
    Bug::ItemNotBarred,
    Bug::ItemKeepsAnothers,
    Bug::ItemCountsTwice,
    Bug::LateAnswer,
];

/// A mistake, and after how many seeds it was found.
pub(crate) struct Found {
    bug: String,
    sentence: &'static str,
    /// `None` when it was not found.
    pub(crate) seeds: Option<u64>,
    /// The invariant that it violates.
    invariant: String,
}

/// A mistake to look for.
enum Search {
    Framework(Bug),
    Own(shop::Bug),
}

/// Looks for every mistake: for several at once, for each by one seed after the other.
pub(crate) fn find_all() -> Vec<Found> {
    const AT_ONCE_PER_PROCESSOR: usize = 4;
    let searches: Vec<_> = Bug::ALL.map(Search::Framework).into_iter().chain(shop::Bug::ALL.map(Search::Own)).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(search) = searches.get(at) else { return };
            let result = search.run();
            found.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    let threads = AT_ONCE_PER_PROCESSOR * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

impl Search {
    fn run(&self) -> Found {
        match *self {
            Self::Framework(bug) if IN_TRIPS.contains(&bug) => {
                find(bug.to_string(), bug.sentence(), simulate(trips::trips).planting(bug))
            }
            Self::Framework(bug) => find(bug.to_string(), bug.sentence(), simulate(books::shop).planting(bug)),
            Self::Own(bug) => {
                let simulation = simulate(move |system: &mut System| books::with_bug(system, Some(bug)));
                find(format!("{bug:?}"), bug.sentence(), simulation)
            }
        }
    }
}

fn find<B: Fn(&mut System) + Send + Sync>(
    bug: String,
    sentence: &'static str,
    simulation: Simulation<Any, B>,
) -> Found {
    let wrong = simulation.sagas(SAGAS).seeds(0..MOST).threads(1).first_wrong();
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
