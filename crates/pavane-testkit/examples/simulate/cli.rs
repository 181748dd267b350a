//! The command line of a simulation: `[seed] [--sagas N] [--seeds N | --total N] [--from SEED] [--instances N] [--bug NAME] [--trip]`.
//!
//! With a seed, replays it and prints everything. Without, runs seeds from 0 on, tells every few seconds how far it is, and
//! prints the first that goes wrong, shrunk. `--sagas` is for each seed, `--total` for all of them. `--instances` is for each service; without it
//! the seed says whether one or two.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use pavane::database::Database;
use pavane_testkit::{Bug, Outcome, System, simulate};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    seed: Option<u64>,
    from: u64,
    sagas: usize,
    seeds: u64,
    instances: Option<usize>,
    bug: Option<Bug>,
    /// Print the table of planted mistakes.
    pub(crate) planted_bugs: bool,
    /// Simulate the trip, which forks and joins.
    pub(crate) trip: bool,
}

impl Arguments {
    /// Reads the command line; says what is wrong with it.
    pub(crate) fn read() -> Result<Self, String> {
        let (seed, instances, bug) = (None, None, None);
        let mut read = Self { seed, from: 0, sagas: 20, seeds: 100, instances, bug, planted_bugs: false, trip: false };
        let mut total = None;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"));
            match argument.as_str() {
                "--sagas" => read.sagas = usize::try_from(number(value()?)?).unwrap_or(usize::MAX),
                "--seeds" => read.seeds = number(value()?)?,
                "--total" => total = Some(number(value()?)?),
                "--instances" => read.instances = Some(usize::try_from(number(value()?)?).unwrap_or(usize::MAX)),
                "--from" => read.from = number(value()?)?,
                "--bug" => {
                    let name = value()?;
                    let bug = Bug::ALL.into_iter().find(|bug| bug.to_string() == name);
                    read.bug = Some(bug.ok_or(format!("there is no mistake {name}"))?);
                }
                "--planted-bugs" => read.planted_bugs = true,
                "--trip" => read.trip = true,
                _ => read.seed = Some(number(argument)?),
            }
        }
        if let Some(total) = total {
            read.seeds = total.div_ceil(u64::try_from(read.sagas.max(1)).unwrap_or(u64::MAX));
        }
        Ok(read)
    }

    /// Simulates a system as asked.
    pub(crate) fn simulate<DB: Database>(self, build: impl Fn(&mut System<DB>) + Send + Sync) -> ExitCode {
        let simulation = simulate(build).sagas(self.sagas);
        let simulation =
            if let Some(instances) = self.instances { simulation.instances(instances) } else { simulation };
        let simulation = if let Some(bug) = self.bug { simulation.planting(bug) } else { simulation };
        if let Some(seed) = self.seed {
            let run = simulation.replay(simulation.plan(seed));
            println!("{run}");
            return ExitCode::from(u8::from(!run.violations.is_empty()));
        }
        let told = AtomicU64::new(0);
        let outcome = simulation.seeds(self.from..self.from + self.seeds).run_telling(|so_far| tell(so_far, &told));
        println!("{outcome}");
        ExitCode::from(u8::from(outcome.counterexample.is_some()))
    }
}

/// Tells how far it is, but not all the time.
fn tell(so_far: &Outcome, told: &AtomicU64) {
    const EVERY_SECONDS: u64 = 5;
    let seconds = so_far.elapsed.as_secs();
    if seconds >= told.load(Ordering::Relaxed) + EVERY_SECONDS {
        told.store(seconds, Ordering::Relaxed);
        eprintln!("{} sagas in {} runs, {seconds} s, {:.0} sagas/s", so_far.sagas, so_far.runs, so_far.rate());
    }
}
