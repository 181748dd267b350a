use crate::{
    Finding, Manifest, Path, Saga, check, diagram,
    graph::Graph,
    model::{self, Exploration, Violation},
};

/// A whole choreography: the manifests of all services, and the sagas that they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choreography {
    manifests: Vec<Manifest>,
    sagas: Vec<Saga>,
}

impl Choreography {
    /// Puts the services' manifests together. Their order is the order in every diagram.
    #[must_use]
    pub fn of(manifests: impl IntoIterator<Item = Manifest>) -> Self {
        Self { manifests: manifests.into_iter().collect(), sagas: Vec::new() }
    }

    /// Declares a saga that the services run.
    #[must_use]
    pub fn saga(mut self, saga: Saga) -> Self {
        self.sagas.push(saga);
        self
    }

    /// The services' manifests.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The declared sagas.
    pub fn sagas(&self) -> &[Saga] {
        &self.sagas
    }

    pub(crate) fn graph(&self) -> Graph<'_> {
        Graph::of(&self.manifests)
    }

    /// Finds mistakes without running anything: events without emitter or consumer, missing undos, waits without a deadline.
    /// Sorted by rule.
    pub fn check(&self) -> Vec<Finding> {
        check::all(self)
    }

    /// Explores every state that one `saga` can reach: every interleaving of deliveries, each delivered again at any
    /// time, each outcome that a reaction may choose, each entry point and each deadline at any moment, effects that run while
    /// their undo arrives, reactions that give up.
    ///
    /// Every run must end *completed with every step done* or *aborted with every done step undone*; [`model`] says
    /// precisely what that means.
    ///
    /// # Errors
    ///
    /// The violation with the shortest counterexample in which no reaction gives up, if there is one; else with the shortest of
    /// all. In a saga with very many states it may be longer than it has to be.
    pub fn explore(&self, saga: &Saga) -> Result<Exploration, Violation> {
        model::explore(self, saga)
    }

    /// The choreography as a page of text: each service's entry points and reactions, when they act, and what follows.
    pub fn map(&self) -> String {
        diagram::map(self)
    }

    /// The graph of services, reactions and events for Mermaid.
    pub fn mermaid(&self) -> String {
        diagram::mermaid(self)
    }

    /// The graph of services, reactions and events for Graphviz.
    pub fn dot(&self) -> String {
        diagram::dot(self)
    }

    /// The paths that one `saga` can take: the good one first, then one for each single deviation: another answer, a reaction
    /// that gives up, an entry point or a deadline at the last moment.
    pub fn paths(&self, saga: &Saga) -> Vec<Path> {
        diagram::paths(self, saga)
    }

    /// Asserts that the [checks](Self::check) find nothing and that no saga's [exploration](Self::explore) finds a violation. A
    /// test of a choreography needs this one line.
    ///
    /// # Panics
    ///
    /// With everything that was found, the counterexamples as sequence diagrams included.
    ///
    /// # Examples
    ///
    /// A table is held for a guest, who comes in time or doesn't. In a service, the manifest comes from the wiring table.
    ///
    /// ```
    /// # use pavane_contract::{Event, EventRef, Key};
    /// # use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    /// # macro_rules! events { ($($event:ident = $name:literal)+) => { $(
    /// #     #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    /// #     struct $event;
    /// #     impl Event for $event {
    /// #         const NAME: &'static str = $name;
    /// #         const VERSION: u16 = 1;
    /// #         fn key(&self) -> Key { "table 7".into() }
    /// #     }
    /// # )+ } }
    /// # events! { Held = "table.held" GivenBack = "table.given-back"
    /// #     Seated = "guest.seated" NoShow = "guest.no-show" Called = "guest.called" Due = "guest.due" }
    /// # fn event<E: Event>() -> EventRef { EventRef::of::<E>() }
    /// use std::time::Duration;
    ///
    /// use pavane_choreography::{Choreography, Entry, Emission, Manifest, Reaction, Role, Saga};
    ///
    /// let reaction = |name: &str, role, on, emits| Reaction {
    ///     name: name.into(),
    ///     role,
    ///     on: vec![on],
    ///     emits: vec![emits],
    ///     effect: false,
    ///     gives_up_with: None,
    ///     after_undo_of: vec![],
    /// };
    /// let call = Entry {
    ///     name: "call".into(),
    ///     emits: vec![Emission::All(vec![event::<Called>()]), Emission::Scheduled(vec![event::<Due>()])],
    ///     answers: None,
    /// };
    /// let seat = reaction("seat", Role::React, event::<Held>(), Emission::Outcome(vec![event::<Seated>()]));
    /// let wait = reaction("wait", Role::React, event::<Due>(), Emission::Outcome(vec![event::<NoShow>()]));
    /// let manifest = |service: &str, entries, reactions| {
    ///     Manifest { service: service.into(), entries, reactions, events: vec![], outlive_outcome: vec![] }
    /// };
    /// let guest = manifest("guest", vec![call], vec![seat, wait]);
    ///
    /// let hold = reaction("hold", Role::React, event::<Called>(), Emission::All(vec![event::<Held>()]));
    /// let undoes = Role::Undo { undoes: event::<Held>() };
    /// let give_back = reaction("give-back", undoes, event::<NoShow>(), Emission::All(vec![event::<GivenBack>()]));
    /// let table = manifest("table", vec![], vec![hold, give_back]);
    ///
    /// let evening = Saga::new("evening")
    ///     .starts_with::<Called>()
    ///     .completes_with::<Seated>()
    ///     .aborts_with::<NoShow>()
    ///     .within(Duration::from_mins(30))
    ///     .terminal::<(Seated, GivenBack)>();
    /// Choreography::of([guest, table]).saga(evening).assert_sound();
    /// ```
    #[track_caller]
    pub fn assert_sound(&self) {
        let findings = self.check().into_iter().map(|finding| finding.to_string());
        let violations = self.sagas.iter().filter_map(|saga| Some(self.explore(saga).err()?.to_string()));
        let report: Vec<String> = findings.chain(violations).collect();
        assert!(report.is_empty(), "the choreography is not sound\n\n{}\n", report.join("\n\n"));
    }
}
