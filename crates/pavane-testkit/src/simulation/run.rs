//! One run, from its plan to its violations.

use std::{collections::BTreeSet, fmt, future::Future, time::Duration};

use pavane::database::Database;

use super::{Bug, Network, Plan, System, Tally, Trace, Violation, chaos::Chaos, invariants, scheduler::Scheduler};
use crate::{
    VirtualClock,
    database::{Databases, Place},
};

/// What became of one plan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// What must not be true and is; empty when all is well.
    pub violations: Vec<Violation>,
    /// Everything that happened, if it was written down.
    pub trace: Trace,
    /// Steps that were taken.
    pub steps: usize,
    /// Transactions that handled several events at once.
    pub batches: usize,
    /// What went wrong, and how often.
    pub faults: Tally,
    /// Simulated time.
    pub elapsed: Duration,
    /// The numbers of the scheduled faults that happened.
    pub(super) happened: Vec<u64>,
}

/// Runs a plan on a thread of its own time.
pub(super) fn run<DB: Database>(
    plan: Plan,
    bug: Option<Bug>,
    traced: bool,
    databases: &Databases,
    build: &impl Fn(&mut System<DB>),
) -> Run {
    // A mistake that can't be planted must not be taken for one that was found.
    assert!(
        bug.is_none() || databases.place() == Place::Memory,
        "mistakes are planted in SQLite's tables: leave out .on_postgres()"
    );
    databases.place().make_ready();
    frozen(async {
        let clock = VirtualClock::new(plan.seed);
        let chaos = Chaos::new(plan, bug, clock.clone(), traced);
        let mut system = System::new(clock.clone(), Network::of(chaos.clone()));
        build(&mut system);
        let (violations, steps) = match Scheduler::start(chaos.clone(), system, databases).await {
            Ok(mut scheduler) => {
                scheduler.play().await;
                let violations = judge(&mut scheduler).await;
                for database in scheduler.world.databases.values() {
                    databases.close(database).await;
                }
                (violations, scheduler.steps)
            }
            Err(error) => (vec![Violation::overall(format!("a service can't start: {error}"))], 0),
        };
        let (trace, happened, elapsed) = (chaos.take_trace(), chaos.happened(), clock.elapsed());
        let (batches, faults) = (chaos.batches(), chaos.tally());
        Run { plan: chaos.plan.clone(), violations, trace, steps, batches, faults, elapsed, happened }
    })
}

/// What is wrong in the end.
async fn judge<DB: Database>(scheduler: &mut Scheduler<DB>) -> Vec<Violation> {
    let mut violations = std::mem::take(&mut scheduler.failures);
    let world = scheduler.world.clone();
    let manifests: Vec<_> = scheduler.system.services.iter().map(|player| player.manifest.clone()).collect();
    let failed = |invariant: &str, error: &dyn fmt::Display| Violation {
        invariant: invariant.to_owned(),
        ..Violation::overall(format!("it can't be checked: {error}"))
    };
    match invariants::violated(&world, &manifests).await {
        Ok(found) => violations.extend(found),
        Err(error) => violations.push(failed("the framework's invariants", &error)),
    }
    for (name, check) in &scheduler.system.checks {
        match check(world.clone()).await {
            Ok(found) => {
                violations.extend(found.into_iter().map(|found| Violation { invariant: name.clone(), ..found }));
            }
            Err(error) => violations.push(failed(name, &error)),
        }
    }
    violations
}

/// Runs on a runtime whose time stands still: no timer ever goes off, however long the databases' threads take.
fn frozen<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("failed to start a runtime: {error}"));
    runtime.block_on(async {
        // A paused clock moves by itself whenever nothing else does, unless something blocks.
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        let brake = tokio::task::spawn_blocking(move || waiting.recv().is_ok());
        let result = work.await;
        drop(done);
        drop(brake.await);
        result
    })
}

impl fmt::Display for Run {
    /// What is wrong, and the timeline of the sagas that show it; of everything, if none does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        let sagas: BTreeSet<_> = self.violations.iter().filter_map(|violation| violation.saga).collect();
        writeln!(f)?;
        if sagas.is_empty() { write!(f, "{}", self.trace) } else { write!(f, "{}", self.trace.of(&sagas)) }
    }
}
