//! Steps: how they begin, stop, go on and end.

use std::{pin::Pin, sync::Arc};

use pavane::database::Database;
use pavane_contract::Clock as _;
use pavane_outbox::relay;

use super::{
    super::{
        BoxError, Saga,
        cast::{Running, Stepped, Worker},
        store,
        wire::SimulatedBus,
    },
    Scheduler,
};
use crate::script::{Stop, drive};

/// A step that stands still.
pub(super) struct Standing {
    pub(super) who: String,
    pub(super) step: Step,
}

/// Something under way.
pub(super) enum Step {
    Worker { process: usize, seat: usize, running: Running },
    Customer(Pin<Box<dyn Future<Output = Result<Option<Saga>, BoxError>>>>),
}

impl<DB: Database> Scheduler<DB> {
    pub(super) async fn begin(&mut self) {
        let number = self.begun;
        self.begun += 1;
        let Some(begin) = &self.system.begin else { return };
        let begin = begin(self.world.clone(), number);
        let begin = Box::pin(async move { begin.await.map(|id| Some(Saga { number, id })) });
        self.run("a customer".to_owned(), Step::Customer(begin)).await;
    }

    pub(super) async fn work(&mut self, process: usize, seat: usize) {
        let batch_max = 1 + self.random.below(self.chaos.plan.batch_max);
        let Some((who, worker)) = self.processes.rise(process, seat) else { return };
        self.run(who, Step::Worker { process, seat, running: worker.step(batch_max) }).await;
    }

    /// Runs a step to its end, or until it stops at a crash point.
    pub(super) async fn run(&mut self, who: String, mut step: Step) {
        self.chaos.set_who(&who);
        let chaos = Arc::clone(&self.chaos);
        let stopped = match &mut step {
            Step::Customer(act) => match drive(act.as_mut(), || chaos.take_stopped()).await {
                Ok(done) => return self.asked(done),
                Err(stopped) => stopped,
            },
            Step::Worker { process, seat, running } => match drive(running.as_mut(), || chaos.take_stopped()).await {
                Ok((worker, stepped)) => {
                    let (process, seat) = (*process, *seat);
                    return self.worked(process, seat, worker, stepped);
                }
                Err(stopped) => stopped,
            },
        };
        match (stopped, step) {
            (Stop::Paused, step) => self.standing.push(Standing { who, step }),
            (Stop::Crashed, Step::Worker { process, running, .. }) => {
                drop(running);
                self.crash(process);
            }
            // The request dies with its connection; the answer never comes. What it committed stays.
            (Stop::Crashed, Step::Customer(..)) => self.processes.wake(),
        }
    }

    fn asked(&mut self, done: Result<Option<Saga>, BoxError>) {
        match done {
            Ok(Some(saga)) => {
                self.chaos.note(Some(saga.id), || format!("has begun saga {}", saga.number));
                self.sagas.push(saga);
            }
            Ok(None) => {}
            Err(error) => self.fail("customers are served", error.to_string()),
        }
        self.processes.wake();
    }

    fn worked(&mut self, process: usize, seat: usize, worker: Box<dyn Worker>, stepped: Stepped) {
        self.work += usize::from(stepped == Stepped::Busy);
        self.processes.sit_down(process, seat, worker, (stepped, self.chaos.clock.now()));
    }

    /// A process dies: what it does stops where it is, what it knows is gone.
    pub(super) fn crash(&mut self, dead: usize) {
        self.processes.empty(dead);
        self.standing.retain(|standing| !matches!(standing.step, Step::Worker { process, .. } if process == dead));
        self.processes.wake();
    }

    pub(super) async fn restart(&mut self, process: usize) -> Result<(), String> {
        let service = self.processes.service(process);
        let player = &self.system.services[service];
        let name = &player.manifest.service;
        let wire = SimulatedBus::new(self.world.bus.clone(), Arc::clone(&self.chaos));
        let mut relay = relay::Config::default();
        // With small batches it reads ahead, and records late.
        relay.batch_max = u16::try_from(self.chaos.plan.batch_max).unwrap_or(u16::MAX);
        let started = (player.connect)(self.world.db(name).clone(), wire, relay).await;
        let started = started.map_err(|error| error.to_string())?;
        if let Some(bug) = self.chaos.bug {
            let first = self.steps == 0 && !self.processes.is_up(service);
            let planted = store::plant(self.world.db(name), bug, first).await;
            planted.map_err(|error| error.to_string())?;
        }
        for (entry, entrance) in started.entries {
            self.world.entries.insert((name.clone(), entry), entrance);
        }
        self.processes.fill(process, started.workers, &mut self.random);
        Ok(())
    }
}
