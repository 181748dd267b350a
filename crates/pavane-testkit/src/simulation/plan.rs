use std::{collections::BTreeSet, fmt, time::Duration};

use pavane_bus::memory;

use super::Fault;
use crate::random::Random;

/// What one run does to a system. Everything follows from it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Decides about everything that is left to chance.
    pub seed: u64,
    /// How many sagas begin.
    pub sagas: usize,
    /// Processes of each service, on one database.
    pub instances: usize,
    /// Most events that a reaction takes at once, and that a relay publishes at once.
    pub batch_max: usize,
    /// Longest time that passes between two steps for no reason.
    pub pause_max: Duration,
    /// How far the services' clocks are apart at most.
    pub skew_max: Duration,
    /// What goes wrong.
    pub faults: Faults,
    /// Only these of the faults happen, by their number; `None` for all.
    pub only: Option<BTreeSet<u64>>,
}

/// What goes wrong, each with a probability from 0 (never) to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Faults {
    /// Of the bus.
    pub bus: memory::Faults,
    /// A process dies, at each crash point.
    pub crash: f64,
    /// A process stands still while others work, at each crash point without an open transaction.
    pub standstill: f64,
    /// A request over the [network](crate::Network) gets lost, before it does anything.
    pub lost_request: f64,
    /// An answer gets lost, after the request was done.
    pub lost_answer: f64,
    /// A process dies between two steps, at each step.
    pub kill: f64,
    /// The broker loses the newest messages that it had acknowledged, at each step.
    pub rollback: f64,
    /// A durable consumer is deleted on the broker, at each step.
    pub lost_consumer: f64,
    /// The broker is away for a while, at each step.
    pub outage: f64,
    /// Somebody interferes with a saga, at each step.
    pub interlude: f64,
}

impl Faults {
    /// How probable a kind is each time that it could happen. Those of the bus have several, and the bus decides.
    pub(super) const fn probability_of(&self, fault: Fault) -> f64 {
        match fault {
            Fault::Crash => self.crash,
            Fault::Kill => self.kill,
            Fault::Standstill => self.standstill,
            Fault::LostRequest => self.lost_request,
            Fault::LostAnswer => self.lost_answer,
            Fault::Rollback => self.rollback,
            Fault::Outage => self.outage,
            Fault::LostConsumer => self.lost_consumer,
            Fault::Interlude => self.interlude,
            Fault::UnansweredPublish | Fault::Redelivery | Fault::Overtaking => 0.0,
        }
    }

    /// The probability of each kind.
    pub(super) const KINDS: [fn(&mut Self) -> &mut f64; 15] = [
        |faults| &mut faults.bus.drop_publish,
        |faults| &mut faults.bus.drop_publish_ack,
        |faults| &mut faults.bus.lose_ack,
        |faults| &mut faults.bus.duplicate,
        |faults| &mut faults.bus.delay,
        |faults| &mut faults.bus.reorder,
        |faults| &mut faults.crash,
        |faults| &mut faults.standstill,
        |faults| &mut faults.lost_request,
        |faults| &mut faults.lost_answer,
        |faults| &mut faults.kill,
        |faults| &mut faults.rollback,
        |faults| &mut faults.lost_consumer,
        |faults| &mut faults.outage,
        |faults| &mut faults.interlude,
    ];
}

impl Plan {
    /// The plan of a seed: some faults or others, more or less often, or none. A run with few faults goes deeper than one
    /// with all of them ("swarm testing", by Groce and others, 2012).
    pub fn of(seed: u64, sagas: usize) -> Self {
        let mut random = Random::of(seed, 1);
        let mut up_to = |most: f64| if random.fraction() < 0.5 { 0.0 } else { most * random.fraction() };
        let faults = Faults {
            bus: memory::Faults {
                drop_publish: up_to(0.1),
                drop_publish_ack: up_to(0.1),
                lose_ack: up_to(0.2),
                duplicate: up_to(0.3),
                delay: up_to(0.3),
                delay_max: Duration::from_mins(1),
                reorder: up_to(0.5),
            },
            crash: up_to(0.02),
            standstill: up_to(0.1),
            lost_request: up_to(0.2),
            lost_answer: up_to(0.2),
            kill: up_to(0.005),
            rollback: up_to(0.005),
            lost_consumer: up_to(0.002),
            outage: up_to(0.005),
            interlude: up_to(0.02),
        };
        let mut one_of = |choices: &[usize]| choices[random.below(choices.len())];
        Self {
            seed,
            sagas,
            instances: one_of(&[1, 1, 2]),
            batch_max: one_of(&[1, 2, 8, 64]),
            pause_max: Duration::from_millis([1, 100, 5_000, 40_000][one_of(&[0, 1, 2, 3])]),
            skew_max: Duration::from_secs([0, 1, 300][one_of(&[0, 1, 2])]),
            faults,
            only: None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, sagas, instances, batch_max, pause_max, skew_max, faults, only } = self;
        write!(f, "seed {seed}: {sagas} sagas, {instances} processes a service, batches of {batch_max}, ")?;
        write!(f, "pauses up to {pause_max:?}, clocks up to {skew_max:?} apart")?;
        let bus = &faults.bus;
        for (name, probability) in [
            ("publishes lost", bus.drop_publish),
            ("publish acks lost", bus.drop_publish_ack),
            ("acks lost", bus.lose_ack),
            ("duplicates", bus.duplicate),
            ("delays", bus.delay),
            ("reorders", bus.reorder),
            (Fault::Crash.plural(), faults.crash),
            (Fault::Standstill.plural(), faults.standstill),
            (Fault::LostRequest.plural(), faults.lost_request),
            (Fault::LostAnswer.plural(), faults.lost_answer),
            (Fault::Kill.plural(), faults.kill),
            (Fault::Rollback.plural(), faults.rollback),
            (Fault::LostConsumer.plural(), faults.lost_consumer),
            (Fault::Outage.plural(), faults.outage),
            (Fault::Interlude.plural(), faults.interlude),
        ] {
            if probability > 0.0 {
                write!(f, ", {name} {:.1} %", probability * 100.0)?;
            }
        }
        if let Some(only) = only {
            write!(f, "; of the scheduled faults only {only:?}")?;
        }
        Ok(())
    }
}
