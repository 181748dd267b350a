//! The processes of all services, and who in them may have something to do.

use pavane::Timestamp;

use super::super::cast::{Stepped, Worker};
use crate::random::Random;

/// Every process, up or down.
#[derive(Default)]
pub(super) struct Processes(Vec<Process>);

struct Process {
    service: usize,
    name: String,
    /// Its relay, its lane of dead letters and its reactions; none while it is down.
    seats: Vec<Seat>,
}

/// The relay's seat; the others come after it.
const RELAY: usize = 0;

/// A place for a worker, which is away while its step is under way.
struct Seat {
    name: String,
    worker: Option<Box<dyn Worker>>,
    /// How often it is picked: some are slow, and find more to do each time.
    weight: usize,
    /// It may have something to do.
    ready: bool,
    /// When it has something to do for sure, in microseconds since the Unix epoch.
    due: Option<i64>,
}

impl Processes {
    /// Adds one that is down. Returns which it is.
    pub(super) fn add(&mut self, service: usize, name: String) -> usize {
        self.0.push(Process { service, name, seats: Vec::new() });
        self.0.len() - 1
    }

    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn name(&self, process: usize) -> &str {
        &self.0[process].name
    }

    pub(super) fn service(&self, process: usize) -> usize {
        self.0[process].service
    }

    /// Whether a service has a process that is up.
    pub(super) fn is_up(&self, service: usize) -> bool {
        self.0.iter().any(|process| process.service == service && !process.seats.is_empty())
    }

    pub(super) fn down(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, process)| process.seats.is_empty()).map(|(process, _)| process)
    }

    /// The workers that may have something to do: weight, process and seat.
    pub(super) fn ready(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.0.iter().enumerate().flat_map(|(process, Process { seats, .. })| {
            let ready = seats.iter().enumerate().filter(|(_, seat)| seat.ready && seat.worker.is_some());
            ready.map(move |(at, seat)| (seat.weight, process, at))
        })
    }

    /// When a worker next has something to do, in microseconds since the Unix epoch.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.0.iter().flat_map(|process| &process.seats).filter_map(|seat| seat.due).min()
    }

    /// Takes a worker from its seat, for a turn.
    pub(super) fn rise(&mut self, process: usize, seat: usize) -> Option<(String, Box<dyn Worker>)> {
        let seat = &mut self.0[process].seats[seat];
        Some((seat.name.clone(), seat.worker.take()?))
    }

    /// Puts a worker back after its turn, and wakes the workers that may have something to do now.
    pub(super) fn sit_down(
        &mut self,
        process: usize,
        seat: usize,
        worker: Box<dyn Worker>,
        (stepped, now): (Stepped, Timestamp),
    ) {
        let place = &mut self.0[process].seats[seat];
        place.worker = Some(worker);
        match stepped {
            // A relay publishes for everybody. A reaction leaves something for what publishes for its own service, and perhaps
            // for itself.
            Stepped::Busy if seat == RELAY => self.wake_reactions(),
            Stepped::Busy => self.wake_service(self.0[process].service),
            Stepped::Idle { next_due } => {
                let due = next_due.map(|wait| now.as_microsecond().saturating_add(wait));
                (place.ready, place.due) = (false, due);
            }
        }
    }

    /// Starts a process.
    pub(super) fn fill(&mut self, process: usize, workers: Vec<Box<dyn Worker>>, random: &mut Random) {
        const WEIGHTS: [usize; 4] = [1, 2, 4, 16];
        let Process { name, seats, .. } = &mut self.0[process];
        let seat = |worker: Box<dyn Worker>| {
            let name = format!("{name}/{}", worker.name());
            let weight = WEIGHTS[random.below(WEIGHTS.len())];
            Seat { name, worker: Some(worker), weight, ready: true, due: None }
        };
        *seats = workers.into_iter().map(seat).collect();
    }

    /// Ends a process.
    pub(super) fn empty(&mut self, process: usize) {
        self.0[process].seats.clear();
    }

    /// Wakes every worker.
    pub(super) fn wake(&mut self) {
        self.0.iter_mut().flat_map(|process| &mut process.seats).for_each(|seat| seat.ready = true);
    }

    /// Called when time has passed: wakes the workers that waited for this time, and the reactions if the bus has something for
    /// them.
    pub(super) fn wake_due(&mut self, now: Timestamp, bus_due: Option<Timestamp>) {
        if bus_due.is_some_and(|due| due <= now) {
            self.wake_reactions();
        }
        for seat in self.0.iter_mut().flat_map(|process| &mut process.seats) {
            seat.ready |= seat.due.is_some_and(|due| due <= now.as_microsecond());
        }
    }

    fn wake_reactions(&mut self) {
        let seats = self.0.iter_mut().flat_map(|process| process.seats.iter_mut().skip(RELAY + 1));
        seats.for_each(|seat| seat.ready = true);
    }

    fn wake_service(&mut self, service: usize) {
        let processes = self.0.iter_mut().filter(|process| process.service == service);
        processes.flat_map(|process| &mut process.seats).for_each(|seat| seat.ready = true);
    }
}
