//! A whole system on simulated time, with faults, from one seed.

mod cast;
mod chaos;
mod fault;
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
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pavane::database::Database;
use tokio::time::Instant;

pub use fault::{Fault, Tally};
pub use network::{Network, NoAnswer};
pub use plan::{Faults, Plan};
pub use planted::Bug;
pub use run::Run;
pub use system::{BoxError, Saga, System, Violation, World};
pub use trace::{Entry, Trace};
pub use wire::{SimulatedBus, SimulatedSubscription};

use crate::database::{Databases, Place};

/// Simulates a system: real handlers on real databases, on a bus, a network and a clock that are simulated.
///
/// The databases are SQLite in memory. Services of `pavane::postgres` get a real PostgreSQL that is found or fetched, with a database
/// for each, which is slower.
///
/// One scheduler picks every step by a seed: which reaction takes how many events, which relay publishes, when a customer
/// orders or cancels, which process dies where and starts again, what the broker and the network lose, and how time
/// passes. The same [`Plan`] has the same [`Trace`], byte for byte. After a while nothing goes wrong any more, everything
/// comes to rest, and the invariants are checked: those of every choreography (no event is lost, nothing is left over or
/// given up, a saga has one outcome, a question is answered or expires) and those of the system.
///
/// # Examples
///
/// `examples/simulate` in this crate.
pub fn simulate<DB: Database, B: Fn(&mut System<DB>) + Send + Sync>(build: B) -> Simulation<DB, B> {
    /// A run waits for the threads of its databases most of the time: so many share a processor.
    const RUNS_PER_PROCESSOR: usize = 4;
    let threads = RUNS_PER_PROCESSOR * std::thread::available_parallelism().map_or(1, usize::from);
    let databases = Arc::new(Databases::new(Place::of::<DB>()));
    let (sagas, instances, database) = (10, None, std::marker::PhantomData);
    Simulation { build, sagas, instances, seeds: 0..100, threads, bug: None, databases, database }
}

/// What [`simulate`] runs.
#[derive(Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Simulation<DB, B> {
    build: B,
    sagas: usize,
    instances: Option<usize>,
    seeds: Range<u64>,
    threads: usize,
    bug: Option<Bug>,
    databases: Arc<Databases>,
    database: std::marker::PhantomData<fn() -> DB>,
}

/// What a simulation did and found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Seeds that were run.
    pub runs: usize,
    /// Sagas that were begun.
    pub sagas: usize,
    /// Steps that were taken.
    pub steps: usize,
    /// Transactions that handled several events at once.
    pub batches: usize,
    /// What went wrong on purpose, and how often.
    pub faults: Tally,
    /// How long it took, without shrinking.
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

impl<B> Simulation<sqlx::Any, B> {
    /// Runs services that run on either database on a real PostgreSQL, as those of `pavane::postgres` always are.
    pub fn on_postgres(mut self) -> Self {
        self.databases = Arc::new(Databases::new(Place::Postgres));
        self
    }
}

impl<DB: Database, B: Fn(&mut System<DB>) + Send + Sync> Simulation<DB, B> {
    /// How many sagas begin in each run. Default 10.
    pub const fn sagas(mut self, sagas: usize) -> Self {
        self.sagas = sagas;
        self
    }

    /// How many processes each service has. Default: one or two, as the seed says.
    pub const fn instances(mut self, instances: usize) -> Self {
        self.instances = Some(instances);
        self
    }

    /// The seeds to run. Default 0..100.
    pub const fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// How many seeds are run at once. Default four for each processor.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Plants a mistake, to see whether the simulation finds it. On SQLite only: on PostgreSQL its runs panic.
    pub const fn planting(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::of(seed, self.sagas);
        Plan { instances: self.instances.unwrap_or(plan.instances), ..plan }
    }

    /// Runs one plan, and writes down everything that happens.
    pub fn replay(&self, plan: Plan) -> Run {
        run::run(plan, self.bug, true, &self.databases, &self.build)
    }

    /// Runs the seeds on all processors, until one goes wrong; then shrinks that.
    pub fn run(&self) -> Outcome {
        self.run_telling(|_| {})
    }

    /// [`run`](Self::run) that tells after each seed how far it is.
    pub fn run_telling(&self, tell: impl Fn(&Outcome) + Send + Sync) -> Outcome {
        let (mut outcome, wrong) = self.search(tell);
        outcome.counterexample = wrong.map(|run| Box::new(self.shrink(run)));
        outcome
    }

    /// The run of the first seed that goes wrong.
    pub fn first_wrong(&self) -> Option<Run> {
        self.search(|_| {}).1
    }

    fn search(&self, tell: impl Fn(&Outcome) + Send + Sync) -> (Outcome, Option<Run>) {
        let (started, next) = (Instant::now(), AtomicU64::new(self.seeds.start));
        let (outcome, wrong): (Mutex<Outcome>, Mutex<Option<Run>>) = Default::default();
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return;
                }
                let run = run::run(self.plan(seed), self.bug, false, &self.databases, &self.build);
                let mut outcome = locked(&outcome);
                outcome.add(&run, started.elapsed());
                tell(&outcome);
                drop(outcome);
                if !run.violations.is_empty() {
                    // Earlier seeds are under way on other threads and end; later ones need not begin.
                    next.store(self.seeds.end, Ordering::Relaxed);
                    let mut wrong = locked(&wrong);
                    if wrong.as_ref().is_none_or(|other| run.plan.seed < other.plan.seed) {
                        *wrong = Some(run);
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..self.threads.max(1)).for_each(|_| drop(scope.spawn(work))));
        (std::mem::take(&mut locked(&outcome)), locked(&wrong).take())
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
        let smallest = shrink::smallest(run, |plan| run::run(plan, self.bug, false, &self.databases, &self.build));
        Counterexample { found, run: self.replay(smallest) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outcome {
    /// Sagas a second, over all processors.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.sagas).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn add(&mut self, run: &Run, elapsed: Duration) {
        self.runs += 1;
        self.sagas += run.plan.sagas;
        self.steps += run.steps;
        self.batches += run.batches;
        self.faults.add(&run.faults);
        self.elapsed = elapsed;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, sagas, steps, batches, faults, elapsed, counterexample } = self;
        let found = if counterexample.is_some() { "something is WRONG" } else { "nothing is wrong" };
        let (seconds, rate) = (elapsed.as_secs_f64(), self.rate());
        writeln!(f, "{sagas} sagas in {runs} runs, {seconds:.1} s, {rate:.0} sagas/s: {found}")?;
        writeln!(f, "{steps} steps, {batches} transactions with several events")?;
        writeln!(f, "{faults}")?;
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
