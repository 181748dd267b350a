//! Live updates: the same beats for all visitors, as server-sent events.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::response::sse::Event;
use futures_util::{Stream, StreamExt as _, stream};
use pavane::{
    SagaId,
    contract::{Clock as _, SystemClock},
};
use pavane_observe::{Changes, report::Overview};
use serde::Serialize;
use tokio::sync::broadcast::{self, Receiver, error::RecvError};
use utoipa::ToSchema;

/// How many beats a browser may be behind; after that it has to read everything again.
const BEHIND_MAX: usize = 64;
/// The most browsers at once.
const LISTENERS_MAX: usize = 256;
/// The most sagas that one beat names.
const SAGAS_MAX: usize = 500;
/// The event's name.
const BEAT: &str = "beat";

/// What changed, and the overview.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Beat {
    /// The overview.
    pub overview: Overview,
    /// The sagas about which something was read since the last beat.
    #[schema(value_type = Vec<String>)]
    pub sagas: Vec<SagaId>,
    /// Whether there were more, or beats were missed: read everything again.
    pub more: bool,
}

/// Sends each beat to all browsers.
#[derive(Debug)]
pub(crate) struct Live {
    beats: broadcast::Sender<Numbered>,
    /// Tells this process's beats from those of an earlier one.
    process: String,
    last: AtomicU64,
}

type Numbered = (u64, Arc<Beat>);

impl Live {
    pub(crate) fn new() -> Self {
        let process = format!("{:08x}", SystemClock.random() >> 32);
        Self { beats: broadcast::Sender::new(BEHIND_MAX), process, last: AtomicU64::new(0) }
    }

    pub(crate) fn has_listeners(&self) -> bool {
        self.beats.receiver_count() > 0
    }

    /// Something changed and nobody listened: a client that comes back has missed it.
    pub(crate) fn skip(&self) {
        self.last.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tell(&self, overview: Overview, changes: Changes) {
        let Changes { mut sagas, more, .. } = changes;
        let more = more || sagas.len() > SAGAS_MAX;
        sagas.truncate(SAGAS_MAX);
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        // A client that has gone needs no beat.
        drop(self.beats.send((number, Arc::new(Beat { overview, sagas, more }))));
    }

    /// Listens from now on; `None` when too many do already.
    pub(crate) fn listen(&self) -> Option<Listener> {
        (self.beats.receiver_count() < LISTENERS_MAX).then(|| Listener {
            beats: self.beats.subscribe(),
            process: self.process.clone(),
            last: self.last.load(Ordering::Relaxed),
        })
    }
}

/// A browser that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    beats: Receiver<Numbered>,
    process: String,
    last: u64,
}

impl Listener {
    /// The beats, the first one at once. `last_id` is the last one that the browser has seen, if it was here before.
    pub(crate) fn events(self, overview: Overview, last_id: Option<&str>) -> impl Stream<Item = Event> + use<> {
        let missed = last_id != Some(&id(&self.process, self.last));
        let first = Beat { overview, sagas: Vec::new(), more: missed };
        let first = event(&self.process, self.last, &first);
        stream::iter([first]).chain(stream::unfold((self, false), |(mut listener, mut missed)| async move {
            loop {
                match listener.beats.recv().await {
                    Ok((number, beat)) => {
                        let told = if missed { Arc::new(Beat { more: true, ..(*beat).clone() }) } else { beat };
                        let event = event(&listener.process, number, &told);
                        return Some((event, (listener, false)));
                    }
                    Err(RecvError::Lagged(_)) => missed = true,
                    Err(RecvError::Closed) => return None,
                }
            }
        }))
    }
}

fn id(process: &str, number: u64) -> String {
    format!("{process}-{number}")
}

fn event(process: &str, number: u64, beat: &Beat) -> Event {
    let event = Event::default().event(BEAT).id(id(process, number));
    // A beat is plain data; if it could not be written, an empty one makes the browser look again.
    match serde_json::to_string(beat) {
        Ok(json) => event.data(json),
        Err(_) => event.data("{\"more\":true,\"sagas\":[]}"),
    }
}
