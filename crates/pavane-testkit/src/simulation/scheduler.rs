//! Picks the next step, again and again: everything that happens in a run happens here, in one order.

mod misfortune;
mod processes;
mod steps;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pavane::{
    Timestamp,
    database::{Database, Db},
};
use pavane_bus::{Memory, memory};
use pavane_contract::Clock as _;
use pavane_outbox::relay;

use self::{processes::Processes, steps::Standing};
use super::{Saga, System, Violation, World, chaos::Chaos, store};
use crate::{
    database::{Databases, Settings},
    random::Random,
};

/// One run of a system.
pub(super) struct Scheduler<DB: Database> {
    chaos: Arc<Chaos>,
    pub(super) system: System<DB>,
    pub(super) world: World<DB>,
    random: Random,
    processes: Processes,
    standing: Vec<Standing>,
    sagas: Vec<Saga>,
    begun: usize,
    pub(super) steps: usize,
    /// Steps in which something was done.
    work: usize,
    /// How many more steps the broker is away.
    outage: usize,
    pub(super) failures: Vec<Violation>,
}

/// How often an operator may have something to repair.
const REPAIRS: usize = 10;

/// What can be done next.
enum Move {
    Begin,
    GoOn(usize),
    Work { process: usize, seat: usize },
    Restart(usize),
    Pause,
}

impl<DB: Database> Scheduler<DB> {
    /// Opens the databases and starts every process.
    pub(super) async fn start(chaos: Arc<Chaos>, system: System<DB>, spare: &Databases) -> Result<Self, String> {
        let plan = &chaos.plan;
        let mut random = Random::of(plan.seed, 3);
        let bus = Memory::with_faults(Arc::new(chaos.clock.clone()), plan.seed, memory::Faults::default());
        let mut databases = BTreeMap::new();
        for player in &system.services {
            let name = &player.manifest.service;
            let settings = Settings {
                service: name.clone(),
                clock: Arc::new(chaos.clock.ahead(plan.skew_max.mul_f64(random.fraction()))),
                crash_points: Some(Arc::clone(&chaos) as _),
            };
            let database = spare.open(&settings, async |db: &Db<DB>| (player.migrate)(db.clone()).await).await;
            databases.insert(name.clone(), database.map_err(|error| error.to_string())?);
        }
        let world = World {
            databases: Arc::new(databases),
            entries: BTreeMap::new(),
            bus,
            chaos: Arc::clone(&chaos),
            sagas: Vec::new(),
        };
        let (processes, standing, sagas, failures) = (Processes::default(), Vec::new(), Vec::new(), Vec::new());
        let (begun, steps, work, outage) = (0, 0, 0, 0);
        let mut scheduler =
            Self { chaos, system, world, random, processes, standing, sagas, begun, steps, work, outage, failures };
        for service in 0..scheduler.system.services.len() {
            for instance in 0..scheduler.chaos.plan.instances.max(1) {
                let name = format!("{}#{instance}", scheduler.system.services[service].manifest.service);
                let process = scheduler.processes.add(service, name);
                scheduler.restart(process).await?;
            }
        }
        if let Some(prepare) = &scheduler.system.prepare {
            prepare(scheduler.world.clone()).await.map_err(|error| error.to_string())?;
        }
        scheduler.world.bus.set_faults(scheduler.chaos.plan.faults.bus);
        Ok(scheduler)
    }

    /// Lets everything begin, with faults; then lets it come to rest without.
    pub(super) async fn play(&mut self) {
        let plan = self.chaos.plan.clone();
        let mut left = 200 + 20 * plan.sagas;
        while (self.begun < plan.sagas || left > 0) && self.failures.is_empty() {
            left = left.saturating_sub(usize::from(self.begun >= plan.sagas));
            self.misfortune().await;
            if !self.act().await && self.begun >= plan.sagas {
                break;
            }
        }
        self.calm_down();
        self.rest().await;
        for repair in 0..REPAIRS {
            if !self.failures.is_empty() || !self.repair().await {
                break;
            }
            self.rest().await;
            if repair + 1 == REPAIRS {
                self.fail("everything comes to rest", "there is always something to repair".to_owned());
            }
        }
        self.age().await;
        self.world.sagas = std::mem::take(&mut self.sagas);
    }

    /// Lets time pass until nothing that was sent need be kept any more. A relay deletes only so much at once.
    async fn age(&mut self) {
        const LOOKS: usize = 10;
        const EVERY: Duration = Duration::from_secs(2);
        self.chaos.clock.advance(2 * relay::Config::default().durability_horizon);
        for _ in 0..LOOKS {
            if !self.failures.is_empty() || !self.keeps_sent_rows().await {
                return;
            }
            self.processes.wake();
            self.rest().await;
            self.chaos.clock.advance(EVERY);
        }
    }

    async fn keeps_sent_rows(&self) -> bool {
        for database in self.world.databases.values() {
            if store::sent_rows(&database.db).await.is_ok_and(|rows| rows > 0) {
                return true;
            }
        }
        false
    }

    /// Goes on until nothing is left to do.
    async fn rest(&mut self) {
        // Several times what a run that ends needs. Looking in vain is no work, but can't go on for ever either.
        let work = 1_000 + 100 * self.chaos.plan.sagas;
        let (most_work, most_steps) = (self.work + work, self.steps + 6 * work);
        while self.work < most_work && self.steps < most_steps {
            if !self.failures.is_empty() || !self.act().await {
                return;
            }
        }
        self.fail("everything comes to rest", "there is always something to do, long after the last fault".to_owned());
    }

    /// Lets somebody repair what only a person can. `false` when there is nothing to repair.
    async fn repair(&mut self) -> bool {
        let Some(repair) = &self.system.repair else { return false };
        self.chaos.set_who("an operator");
        match repair(self.world.clone()).await {
            Ok(repaired) => {
                self.processes.wake();
                repaired
            }
            Err(error) => {
                self.fail("operators can work", error.to_string());
                false
            }
        }
    }

    /// Takes one turn, chosen at random. `false` when there is nothing left to do.
    async fn act(&mut self) -> bool {
        // A little, so that what comes later is later.
        self.chaos.clock.advance(Duration::from_micros(1 + self.random.next() % 1000));
        let Some(next) = self.pick() else { return self.wait() };
        self.steps += 1;
        match next {
            Move::Begin => self.begin().await,
            Move::GoOn(which) => {
                let Standing { who, step } = self.standing.swap_remove(which);
                self.chaos.set_who(&who);
                self.chaos.note(None, || "goes on".to_owned());
                self.run(who, step).await;
            }
            Move::Work { process, seat } => self.work(process, seat).await,
            Move::Restart(process) => {
                self.chaos.set_who(self.processes.name(process));
                self.chaos.note(None, || "starts again".to_owned());
                // While the broker is away it can't: another time.
                drop(self.restart(process).await);
            }
            Move::Pause => {
                let longest = u64::try_from(self.chaos.plan.pause_max.as_micros()).unwrap_or(u64::MAX);
                // Short pauses are as likely as long ones.
                let longest = longest >> (self.random.next() % 12);
                self.chaos.clock.advance(Duration::from_micros(self.random.next() % longest.max(1)));
                self.processes.wake_due(self.chaos.clock.now(), self.world.bus.next_due());
            }
        }
        true
    }

    fn pick(&mut self) -> Option<Move> {
        const LIKELY: usize = 4;
        let mut moves: Vec<(usize, Move)> = Vec::new();
        if self.begun < self.chaos.plan.sagas {
            moves.push((LIKELY, Move::Begin));
        }
        moves.extend((0..self.standing.len()).map(|which| (1, Move::GoOn(which))));
        moves.extend(self.processes.down().map(|process| (1, Move::Restart(process))));
        moves.extend(self.processes.ready().map(|(weight, process, seat)| (weight, Move::Work { process, seat })));
        if moves.is_empty() {
            return None;
        }
        moves.push((1, Move::Pause));
        let total: usize = moves.iter().map(|(weight, _)| weight).sum();
        let mut chance = self.random.below(total);
        let chosen = moves.into_iter().find(|(weight, _)| {
            let hit = chance < *weight;
            chance = chance.wrapping_sub(*weight);
            hit
        });
        chosen.map(|(_, chosen)| chosen)
    }

    /// Lets time pass until something is due. `false` when nothing ever will be.
    fn wait(&mut self) -> bool {
        let now = self.chaos.clock.now().as_microsecond();
        let bus = self.world.bus.next_due().map(Timestamp::as_microsecond);
        let Some(due) = self.processes.next_due().into_iter().chain(bus).min() else { return false };
        self.chaos.clock.advance(Duration::from_micros((due - now).max(0).unsigned_abs() + 1));
        self.processes.wake_due(self.chaos.clock.now(), self.world.bus.next_due());
        true
    }

    fn fail(&mut self, invariant: &str, what: String) {
        self.failures.push(Violation { invariant: invariant.to_owned(), saga: None, what });
    }
}
