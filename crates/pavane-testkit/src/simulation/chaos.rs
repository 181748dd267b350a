//! What goes wrong: decides about every fault, stops steps at crash points, and writes down what happens.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pavane::SagaId;
use pavane_outbox::internal::{CrashPoint, CrashPoints};

use super::{
    Bug, Fault, Plan, Tally, planted,
    trace::{Entry, Trace},
};
use crate::{
    VirtualClock,
    random::Random,
    script::{Stop, phrase, until_polled_again},
};

/// One run's chaos. Shared by everything that can go wrong.
#[derive(Debug)]
pub(super) struct Chaos {
    pub(super) clock: VirtualClock,
    pub(super) plan: Plan,
    /// The mistake that is planted, if one is.
    pub(super) bug: Option<Bug>,
    wrong: Mutex<planted::Memory>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Nothing goes wrong any more.
    calm: bool,
    /// How many faults happened or would have.
    faults: u64,
    happened: Vec<u64>,
    tally: Tally,
    /// Events acked in the current step since its latest commit.
    acks: usize,
    batches: usize,
    /// Who is doing the current step.
    who: String,
    stopped: Option<Stop>,
    trace: Option<Trace>,
}

impl Chaos {
    pub(super) fn new(plan: Plan, bug: Option<Bug>, clock: VirtualClock, traced: bool) -> Arc<Self> {
        let state = State {
            random: Random::of(plan.seed, 2),
            calm: false,
            faults: 0,
            happened: Vec::new(),
            tally: Tally::default(),
            acks: 0,
            batches: 0,
            who: String::new(),
            stopped: None,
            trace: traced.then(Trace::default),
        };
        Arc::new(Self { clock, plan, bug, wrong: Mutex::default(), state: Mutex::new(state) })
    }

    /// Whether a fault of this kind happens now.
    pub(super) fn strikes(&self, fault: Fault) -> bool {
        let probability = self.plan.faults.probability_of(fault);
        let mut state = self.state();
        // Drawn in any case: a plan without a fault that never happened is the same run.
        let drawn = state.random.fraction();
        if state.calm || drawn >= probability {
            return false;
        }
        let number = state.faults;
        state.faults += 1;
        if self.plan.only.as_ref().is_some_and(|only| !only.contains(&number)) {
            return false;
        }
        state.happened.push(number);
        state.tally.count(fault);
        true
    }

    /// Counts a fault that somebody else decided about.
    pub(super) fn saw(&self, fault: Fault) {
        self.state().tally.count(fault);
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm_down(&self) {
        self.state().calm = true;
    }

    /// What planted code remembers.
    pub(super) fn wrong(&self) -> MutexGuard<'_, planted::Memory> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of the faults that happened.
    pub(super) fn happened(&self) -> Vec<u64> {
        self.state().happened.clone()
    }

    /// How often each kind of fault happened.
    pub(super) fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    /// How many transactions handled several events at once.
    pub(super) fn batches(&self) -> usize {
        self.state().batches
    }

    pub(super) fn is_traced(&self) -> bool {
        self.state().trace.is_some()
    }

    /// Says who does what comes next.
    pub(super) fn set_who(&self, who: &str) {
        let mut state = self.state();
        state.who.clear();
        state.who.push_str(who);
        state.acks = 0;
    }

    /// Adds to the trace what the current worker does.
    pub(super) fn note(&self, saga: Option<SagaId>, what: impl FnOnce() -> String) {
        let mut state = self.state();
        let State { who, trace: Some(trace), .. } = &mut *state else { return };
        trace.push(Entry { at: self.clock.elapsed(), who: who.clone(), what: what(), saga });
    }

    pub(super) fn take_trace(&self) -> Trace {
        self.state().trace.take().unwrap_or_default()
    }

    /// How the current step stopped, if it did. Tells it once.
    pub(super) fn take_stopped(&self) -> Option<Stop> {
        self.state().stopped.take()
    }

    /// A place where the current step may stand still while others work. Holds no transaction.
    pub(super) async fn standstill(&self, place: impl FnOnce() -> String) {
        if self.strikes(Fault::Standstill) {
            self.note(None, || format!("stands still {}", place()));
            self.state().stopped = Some(Stop::Paused);
            until_polled_again().await;
        }
    }

    /// Notices batches: their events are acked with no commit in between.
    fn notice(&self, point: CrashPoint) {
        let mut state = self.state();
        if point == CrashPoint::AfterCommit {
            state.acks = 0;
        }
        if point == CrashPoint::BeforeAck {
            state.acks += 1;
            state.batches += usize::from(state.acks == 2);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CrashPoints for Chaos {
    fn reach(&self, point: CrashPoint) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.notice(point);
            if self.strikes(Fault::Crash) {
                self.note(None, || format!("CRASHES {}", phrase(point)));
                self.state().stopped = Some(Stop::Crashed);
                return std::future::pending().await;
            }
            if point != CrashPoint::BeforeCommit {
                self.standstill(|| phrase(point).to_owned()).await;
            }
        })
    }
}
