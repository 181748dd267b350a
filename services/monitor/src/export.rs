//! A saga as a test case for `pavane-testkit`: one service gets the recorded events, and must emit what it emitted.

use pavane_bus::JetStream;
use pavane_contract::{RawEnvelope, codec};
use pavane_observe::{Error, SagaReport, Sealed, View, event_at};

/// The events of one service in a saga.
#[derive(Debug)]
pub(crate) struct Recording {
    saga: String,
    service: String,
    /// The sequences of the events that it reacted to, in the stream's order.
    saw: Vec<u64>,
    /// The names of the events that it emitted, sorted.
    said: Vec<String>,
}

impl Recording {
    /// `None` when the service reacted to nothing.
    pub(crate) fn of(view: &View, report: &SagaReport, service: &str) -> Option<Self> {
        let declaration = view.declarations().find(|it| it.manifest.service == service)?;
        let on =
            |name: &str| declaration.manifest.reactions.iter().flat_map(|it| &it.on).any(|event| event.name == name);
        let saw: Vec<_> = report.timeline.iter().filter(|event| on(&event.event)).collect();
        let caused = |id| saw.iter().any(|event| Some(event.id) == id);
        let answers = report.timeline.iter().filter(|event| event.source == service && caused(event.caused_by));
        let mut said: Vec<String> = answers.map(|event| event.event.clone()).collect();
        said.sort();
        let saw: Vec<u64> = saw.iter().map(|event| event.sequence).collect();
        let (saga, service) = (report.summary.saga.to_string(), service.to_owned());
        (!saw.is_empty()).then_some(Self { saga, service, saw, said })
    }

    /// Reads the events.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    pub(crate) async fn read(&self, bus: &JetStream) -> Result<Vec<Sealed>, Error> {
        let mut events = Vec::new();
        for sequence in &self.saw {
            // What the stream has forgotten can't be replayed.
            events.extend(event_at(bus, *sequence).await?);
        }
        Ok(events)
    }

    /// Writes the test. Tests are kept for long and seen by many, so personal data is left out.
    pub(crate) fn source(&self, events: &[Sealed], view: &View) -> String {
        let Self { saga, service, said, .. } = self;
        let (lines, hidden): (Vec<_>, Vec<_>) =
            events.iter().map(|event| event.redacted_event(view)).partition(Result::is_ok);
        let events: Vec<String> = lines.iter().flatten().map(line).collect();
        let mut hidden: Vec<String> = hidden.into_iter().filter_map(Result::err).collect();
        hidden.dedup();
        let missing = hidden.iter().map(|why| format!("//! An event is missing here: {why}.\n"));
        let missing = missing.collect::<Vec<_>>().concat();
        let function = saga.replace('-', "_");
        format!(
            r"//! Saga {saga} as {service} saw it.
//!
//! Put it into the tests of {service} as a module, beside `async fn stage()`, which returns the service on a stage of
//! `pavane-testkit` with what its tables had: `given(service()).await` where that was nothing.
//! Personal data is left out: it is `(personal)`, whatever its type. Where a type of its own refuses that, make something up.
{missing}
use pavane_contract::codec;

use super::stage;

/// What {service} reacts to: headers and body, in the stream's order.
#[rustfmt::skip]
const SAW: [(&[(&str, &str)], &str); {count}] = [
{recorded}];

/// What it answered, in the alphabet's order.
#[rustfmt::skip]
const SAID: [&str; {answers}] = {said:?};

#[tokio::test]
async fn saga_{function}() {{
    let mut stage = stage().await;
    let mut said = Vec::new();
    for (headers, body) in SAW {{
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let event = codec::decode(&headers, body.into(), usize::MAX).unwrap();
        said.extend(stage.deliver(&event).await.emitted_names());
    }}
    said.sort();
    assert_eq!(said, SAID);
}}
",
            count = events.len(),
            recorded = events.concat(),
            answers = said.len(),
        )
    }
}

/// An event as a line of Rust, written as it is in the stream today, however it was published.
fn line(event: &RawEnvelope) -> String {
    let headers = codec::encode(event);
    let headers: Vec<_> = headers.iter().collect();
    format!("    (&{headers:?}, {:?}),\n", String::from_utf8_lossy(&event.body))
}
