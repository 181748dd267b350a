//! Questions that wait for a person.

use super::{
    View,
    saga::{Record, Saga, time},
    tell::{duration, unsigned},
};
use crate::{report::Question, rules::QuestionRule};

impl View {
    /// The questions that wait for a person, the oldest first.
    pub fn questions(&self) -> Vec<Question> {
        let open = self.sagas.open_ones().map(|number| self.sagas.get(number));
        let mut questions: Vec<_> = open.flat_map(|saga| self.questions_of(saga)).collect();
        questions.sort_by_key(|question| question.sequence);
        questions
    }

    /// Whether a saga waits for a person.
    pub(super) fn is_asking(&self, saga: &Saga) -> bool {
        self.rules.questions.iter().any(|rule| asked(saga, rule).is_some())
    }

    pub(super) fn questions_of<'v>(&'v self, saga: &'v Saga) -> impl Iterator<Item = Question> + 'v {
        let asked = |rule: &'v QuestionRule| Some((rule, asked(saga, rule)?));
        self.rules.questions.iter().filter_map(asked).map(|(rule, event)| self.question(saga, rule, event))
    }

    fn question(&self, saga: &Saga, rule: &QuestionRule, event: &Record) -> Question {
        let mut question = Question {
            saga: saga.id,
            key: saga.key.to_string(),
            name: saga.rule.map(|rule| self.rules.sagas[usize::from(rule)].name.clone()),
            service: rule.service.clone(),
            entry: rule.entry.clone(),
            event: self.name(event).to_owned(),
            event_id: event.id,
            sequence: event.sequence,
            asked_at: time(event.stored_at),
            age_ms: unsigned((self.now() - event.stored_at) / 1000),
            answers: self.rules.names(&rule.answers),
            expires_with: rule.expires.map(|expiry| self.rules.name(expiry).to_owned()),
            sentence: String::new(),
        };
        question.sentence = sentence(&question);
        question
    }
}

/// The event that asks, where the question is open.
fn asked<'s>(saga: &'s Saga, rule: &QuestionRule) -> Option<&'s Record> {
    let position = saga.first(rule.asks)?;
    let ends = |event: &Record| rule.answers.contains(&event.kind) || rule.expires == Some(event.kind);
    let decided = |outcomes: &Vec<_>| {
        saga.outcome.is_some_and(|(outcome, _)| usize::from(outcome) > position)
            || saga.events[position..].iter().any(|event| outcomes.contains(&event.kind))
    };
    let closed = saga.resolved() || saga.events.iter().any(ends) || rule.closed_by.as_ref().is_some_and(decided);
    (!closed).then(|| &saga.events[position])
}

/// For example: `waiting 3 h for a person: trip.price-approved or trip.price-refused at trip/approve, until trip.approval-expired`.
fn sentence(question: &Question) -> String {
    let Question { service, entry, answers, expires_with, .. } = question;
    let until = expires_with.as_deref().unwrap_or("the saga's outcome");
    let (age, answers) = (duration(question.age_ms), answers.join(" or "));
    format!("waiting {age} for a person: {answers} at {service}/{entry}, until {until}")
}

#[cfg(test)]
mod tests {
    use pavane_choreography::{Declaration, Emission, Entry, Manifest, Question as Asked, Saga, Settings};
    use pavane_contract::{Cause, EventId, EventRef, Key, Meta, SagaId, SystemClock, Timestamp};

    use crate::{Limits, SeenEvent, State, Update, View};

    const ASKED: &str = "trip.price-asked";
    const EXPIRED: &str = "trip.approval-expired";

    fn event(name: &str) -> EventRef {
        EventRef { name: name.to_owned(), version: 1 }
    }

    /// A service whose question expires, or doesn't; and perhaps its timer goes off after the outcome, too.
    fn declaration(expires: bool, outlives: bool) -> Declaration {
        let approve = Entry {
            name: "approve".to_owned(),
            emits: vec![Emission::OneOf(vec![event("trip.price-approved"), event("trip.price-refused")])],
            answers: Some(Asked { asks: event(ASKED), expires_with: expires.then(|| event(EXPIRED)) }),
        };
        let book = Entry {
            name: "book".to_owned(),
            emits: vec![
                Emission::All(vec![event(ASKED)]),
                Emission::Scheduled(vec![event(EXPIRED)]),
                Emission::Outcome(vec![event("trip.confirmed"), event("trip.cancelled")]),
            ],
            answers: None,
        };
        let manifest = Manifest {
            service: "trip".to_owned(),
            entries: vec![book, approve],
            reactions: Vec::new(),
            events: Vec::new(),
            outlive_outcome: if outlives { vec![event(EXPIRED)] } else { Vec::new() },
        };
        Declaration::new(manifest, Vec::<Saga>::new(), Settings::default())
    }

    /// What is open, and the saga's state, after these events, an hour apart.
    fn after(declaration: &Declaration, events: &[&str]) -> (Vec<String>, State) {
        let mut view = View::new(Limits::default());
        let saga = SagaId::new(&SystemClock);
        view.apply([Update::Declared(Box::new(declaration.clone()))]);
        let at = |hour: usize| Timestamp::from_second(1_800_000_000 + 3600 * i64::try_from(hour).unwrap()).unwrap();
        for (hour, name) in events.iter().enumerate() {
            let cause = Cause::new(saga, at(0));
            let (id, key, source) = (EventId::new(&SystemClock), Key::from("7"), "trip".to_owned());
            let meta = Meta { id, event: event(name), key, source, time: at(hour), cause };
            view.apply([Update::Event(Box::new(SeenEvent::new(hour as u64 + 1, at(hour), meta)))]);
        }
        let last_sequence = events.len() as u64;
        view.apply([Update::End { at: at(events.len() + 2), last_sequence, reached: true, loaded: true }]);
        let report = view.saga(saga).unwrap();
        assert_eq!(view.questions(), report.questions);
        (report.questions.into_iter().map(|question| question.sentence).collect(), report.summary.state)
    }

    #[test]
    fn a_question_is_open_until_it_is_answered_expires_or_is_closed_by_an_outcome() {
        let (asks, endless) = (declaration(true, false), declaration(false, false));
        let waits = |age: u8, until: &str| {
            let answers = "trip.price-approved or trip.price-refused";
            (vec![format!("waiting {age} h for a person: {answers} at trip/approve, until {until}")], State::InProgress)
        };
        let nothing = (Vec::new(), State::Completed);
        assert_eq!(after(&asks, &[ASKED]), waits(3, EXPIRED));
        assert_eq!(after(&endless, &[ASKED, "trip.other"]), waits(4, "the saga's outcome"));
        for end in ["trip.price-approved", "trip.price-refused", EXPIRED, "trip.confirmed"] {
            assert_eq!(after(&asks, &[ASKED, end]), nothing, "{end}");
        }
        assert_eq!(after(&endless, &[ASKED, "trip.cancelled"]), nothing);
        assert_eq!(after(&asks, &["trip.confirmed", ASKED]), waits(3, EXPIRED), "it was asked after the outcome");
        assert_eq!(after(&declaration(true, true), &[ASKED, "trip.confirmed"]), waits(4, EXPIRED), "its timer goes on");
    }
}
