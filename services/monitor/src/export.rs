//! A saga as a test case for `pavane-testkit`: one service is given what it reacted to, and must say what it said.

use pavane::bus::JetStream;
use pavane_observe::{Error, SagaReport, StoredMessage, View, event_at};

/// What a service saw and said in a saga.
#[derive(Debug)]
pub(crate) struct Recording {
    saga: String,
    service: String,
    /// The sequences of the events that it reacts to, in the stream's order.
    saw: Vec<u64>,
    /// The names of the events with which it answered, in the alphabet's order.
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

    /// Reads the events and writes the test.
    ///
    /// # Errors
    ///
    /// When the bus can't be reached.
    pub(crate) async fn read(&self, bus: &JetStream) -> Result<String, Error> {
        let mut events = Vec::new();
        for sequence in &self.saw {
            // What the stream has forgotten can't be replayed.
            events.extend(event_at(bus, *sequence).await?);
        }
        Ok(self.source(&events))
    }

    fn source(&self, events: &[StoredMessage]) -> String {
        let Self { saga, service, said, .. } = self;
        let recorded: String = events.iter().map(line).collect();
        let function = saga.replace('-', "_");
        format!(
            r"//! Saga {saga} as {service} saw it. Put it into the service's tests, next to `fn service()`, which makes the service.

use pavane::contract::codec;
use pavane_testkit::given;

/// What {service} reacts to, as it was stored: headers and body.
const SAW: [(&[(&str, &str)], &str); {count}] = [
{recorded}];

/// What it answered, in the alphabet's order.
const SAID: [&str; {answers}] = {said:?};

#[tokio::test]
async fn saga_{function}() {{
    let mut stage = given(service()).await;
    let mut said = Vec::new();
    for (headers, body) in SAW {{
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let event = codec::decode(&headers, body.as_bytes().into(), usize::MAX).unwrap();
        stage.deliver(&event).await;
        said.extend(stage.emitted_names());
    }}
    said.sort();
    assert_eq!(said, SAID);
}}
",
            count = events.len(),
            answers = said.len(),
        )
    }
}

/// An event as a line of Rust. Of the headers, those that make it an event.
fn line(event: &StoredMessage) -> String {
    let makes_it_an_event = |name: &str| name.to_ascii_lowercase().starts_with("ce-");
    let headers: Vec<_> = event.headers.iter().filter(|(name, _)| makes_it_an_event(name)).collect();
    let body = event.body.as_ref().map(ToString::to_string).or_else(|| event.text.clone()).unwrap_or_default();
    format!("    (&{headers:?}, {body:?}),\n")
}
