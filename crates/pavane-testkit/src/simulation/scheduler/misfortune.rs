//! What goes wrong between two steps: with the broker, with processes, and with customers who change their minds.

use std::time::Duration;

use pavane::database::Database;
use pavane_bus::{Bus as _, memory, topology::EVENTS};
use pavane_contract::Clock as _;

use super::{super::Fault, Scheduler, steps::Step};

impl<DB: Database> Scheduler<DB> {
    /// What goes wrong between two steps.
    pub(super) async fn misfortune(&mut self) {
        self.chaos.set_who("");
        if self.outage > 0 {
            self.outage -= 1;
            if self.outage == 0 {
                self.reconnect();
            }
        } else if self.chaos.strikes(Fault::Outage) {
            self.chaos.note(None, || "the broker is AWAY".to_owned());
            self.world.bus.disconnect();
            self.outage = 1 + self.random.below(100);
        } else if self.chaos.strikes(Fault::Rollback) {
            self.roll_back();
        }
        if self.chaos.strikes(Fault::LostConsumer) {
            self.lose_consumer();
        }
        if self.chaos.strikes(Fault::Kill) {
            let process = self.random.below(self.processes.count());
            self.chaos.note(None, || format!("{} is KILLED", self.processes.name(process)));
            self.crash(process);
        }
        if !self.system.interludes.is_empty() && !self.sagas.is_empty() && self.chaos.strikes(Fault::Interlude) {
            let saga = self.sagas[self.random.below(self.sagas.len())];
            let which = self.random.below(self.system.interludes.len());
            let act = (self.system.interludes[which])(self.world.clone(), saga);
            let act = Box::pin(async move { act.await.map(|()| None) });
            self.chaos.set_who("a customer");
            self.chaos.note(Some(saga.id), || format!("does something about it ({which})"));
            self.run("a customer".to_owned(), Step::Customer(act)).await;
        }
    }

    /// The broker loses the newest messages, as after a power failure before they were synced to disk.
    fn roll_back(&mut self) {
        /// At most what is stored between two syncs.
        const SYNC: Duration = Duration::from_mins(2);
        let messages = self.world.bus.messages(EVENTS);
        let now = self.chaos.clock.now();
        let recent = messages
            .iter()
            .rev()
            .take_while(|stored| Duration::try_from(now.duration_since(stored.time)).is_ok_and(|age| age < SYNC));
        let lost = self.random.below(recent.count().min(30) + 1);
        if let Some(last) = messages.len().checked_sub(lost + 1).and_then(|kept| messages.get(kept)) {
            self.chaos.note(None, || format!("the broker LOSES what came after {}", last.sequence));
            self.world.bus.roll_back(EVENTS, last.sequence);
        }
        self.processes.wake();
    }

    /// Somebody deletes a durable consumer on the broker. The service makes it anew, and gets everything again.
    fn lose_consumer(&mut self) {
        let manifests = self.system.services.iter().map(|player| &player.manifest);
        let durables: Vec<_> = manifests
            .flat_map(|manifest| {
                manifest.reactions.iter().map(|reaction| format!("{}_{}", manifest.service, reaction.name))
            })
            .collect();
        let lost = &durables[self.random.below(durables.len())];
        self.chaos.note(None, || format!("the consumer {lost} is DELETED"));
        self.world.bus.delete_consumer(lost);
        self.processes.wake();
    }

    fn reconnect(&mut self) {
        self.chaos.note(None, || "the broker is back".to_owned());
        self.world.bus.reconnect();
        self.processes.wake();
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm_down(&mut self) {
        self.chaos.set_who("");
        self.chaos.note(None, || "from here on nothing goes wrong".to_owned());
        self.chaos.calm_down();
        self.world.bus.set_faults(memory::Faults::default());
        if !self.world.bus.health().connected {
            self.reconnect();
        }
        self.processes.wake();
    }
}
