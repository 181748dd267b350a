//! A whole system on simulated time, with faults, from one seed.

mod cast;
mod chaos;
mod invariants;
mod network;
mod plan;
mod planted;
mod run;
mod scheduler;
mod shrink;
mod store;
mod system;
mod trace;
mod wire;

use std::{
    fmt,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pavane::outbox::Database;
use tokio::time::Instant;

pub use network::{Network, NoAnswer};
pub use plan::{Faults, Plan};
pub use planted::Bug;
pub use run::Run;
pub use system::{BoxError, Saga, System, Violation, World};
pub use trace::{Entry, Trace};

/// Simulates a system: real handlers on real databases in memory, on a bus, a network and a clock that are simulated.
///
/// One scheduler picks every step by a seed: which reaction takes how many events, which relay publishes, when a customer
/// orders or cancels, which process dies where and starts again, what the broker and the network lose, and how time
/// passes. The same [`Plan`] has the same [`Trace`], byte for byte. After a while nothing goes wrong any more, everything
/// comes to rest, and the invariants are checked: those of every choreography (no event is lost, nothing is left over or
/// given up, a saga has one verdict) and those of the system.
///
/// # Examples
///
/// `examples/simulate` in this crate.
pub fn simulate<DB: Database, B: Fn(&mut System<DB>) + Send + Sync>(build: B) -> Simulation<DB, B> {
    Simulation { build, sagas: 10, seeds: 0..100, bug: None, database: std::marker::PhantomData }
}

/// What [`simulate`] runs.
#[derive(Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Simulation<DB, B> {
    build: B,
    sagas: usize,
    seeds: Range<u64>,
    bug: Option<Bug>,
    database: std::marker::PhantomData<fn() -> DB>,
}

/// What a simulation found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Seeds that were run.
    pub runs: usize,
    /// Sagas that were begun.
    pub sagas: usize,
    /// Steps that were taken.
    pub steps: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// The first run that went wrong, and what is left of it when everything is taken away that isn't needed.
    pub counterexample: Option<Box<Counterexample>>,
}

/// A run that goes wrong.
#[derive(Debug)]
#[non_exhaustive]
pub struct Counterexample {
    /// The plan that was found to go wrong.
    pub found: Plan,
    /// The smallest run that was found to go wrong in the same way, with its trace.
    pub run: Run,
}

impl<DB: Database, B: Fn(&mut System<DB>) + Send + Sync> Simulation<DB, B> {
    /// How many sagas begin in each run. Default 10.
    pub const fn sagas(mut self, sagas: usize) -> Self {
        self.sagas = sagas;
        self
    }

    /// The seeds to run. Default 0..100.
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Plants a mistake, to see whether the simulation finds it.
    pub const fn planting(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Runs one plan, and writes down everything that happens.
    pub fn replay(&self, plan: Plan) -> Run {
        run::run(plan, self.bug, true, &self.build)
    }

    /// Runs the seeds on all processors, until one goes wrong; then shrinks that.
    pub fn run(&self) -> Outcome {
        let started = Instant::now();
        let (tally, wrong) = self.search();
        let elapsed = started.elapsed();
        let counterexample = wrong.map(|run| Box::new(self.shrink(run)));
        Outcome {
            runs: tally.runs.into_inner(),
            sagas: tally.sagas.into_inner(),
            steps: tally.steps.into_inner(),
            elapsed,
            counterexample,
        }
    }

    /// The run of the first seed that goes wrong.
    pub fn first_wrong(&self) -> Option<Run> {
        self.search().1
    }

    fn search(&self) -> (Tally, Option<Run>) {
        let (tally, next) = (Tally::default(), AtomicU64::new(self.seeds.start));
        let wrong: Mutex<Option<Run>> = Mutex::default();
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let run = run::run(Plan::of(seed, self.sagas), self.bug, false, &self.build);
                tally.add(&run);
                if !run.violations.is_empty() {
                    // Earlier seeds are under way on other threads and end; later ones need not begin.
                    next.store(self.seeds.end, Ordering::Relaxed);
                    let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    if wrong.as_ref().is_none_or(|other| run.plan.seed < other.plan.seed) {
                        *wrong = Some(run);
                    }
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        (tally, wrong.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs the seeds, and fails when one goes wrong.
    ///
    /// # Panics
    ///
    /// With the smallest run that goes wrong and the timeline of its saga.
    pub fn assert(&self) {
        let outcome = self.run();
        assert!(outcome.counterexample.is_none(), "{outcome}");
    }

    /// Takes away everything that a failing run doesn't need to fail.
    pub fn shrink(&self, run: Run) -> Counterexample {
        let found = run.plan.clone();
        let smallest = shrink::smallest(run, |plan| run::run(plan, self.bug, false, &self.build));
        Counterexample { found, run: self.replay(smallest) }
    }
}

/// What was done, over all threads.
#[derive(Debug, Default)]
struct Tally {
    runs: AtomicUsize,
    sagas: AtomicUsize,
    steps: AtomicUsize,
}

impl Tally {
    fn add(&self, run: &Run) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.sagas.fetch_add(run.plan.sagas, Ordering::Relaxed);
        self.steps.fetch_add(run.steps, Ordering::Relaxed);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = f64::from(u32::try_from(self.sagas).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{} sagas in {} runs, {} steps, {:.1} s, {rate:.0} sagas/s: {}",
            self.sagas,
            self.runs,
            self.steps,
            self.elapsed.as_secs_f64(),
            if self.counterexample.is_some() { "something is WRONG" } else { "nothing is wrong" }
        )?;
        self.counterexample.iter().try_for_each(|counterexample| write!(f, "\n{counterexample}"))
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "found with {}", self.found)?;
        write!(f, "shrunk to {}", self.run)
    }
}

impl<DB, B> fmt::Debug for Simulation<DB, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("sagas", &self.sagas).field("seeds", &self.seeds).finish_non_exhaustive()
    }
}
