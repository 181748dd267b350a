//! Does a reader accept whatever a writer writes?
//!
//! Schemas may be recursive, so this is a question about a graph: its nodes are pairs of schemas, one of each side, that
//! meet at some place of the event. All pairs are taken to fit until one is found that doesn't, then those that need it,
//! until nothing changes (the greatest fixed point). What doesn't fit is told once, at the shortest path that leads there.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet, VecDeque},
};

use serde_json::{Number, Value};

use super::{
    alternatives::{alternatives, target},
    shape::{Node, Shape, compare},
};

/// Something that the writer may write and the reader refuses.
#[derive(Debug, Clone)]
pub(super) struct Misfit {
    /// Where, as a JSON path.
    pub(super) path: String,
    pub(super) what: String,
}

/// Everything that `writer` allows and `reader` doesn't.
pub(super) fn misfits(writer: &Value, reader: &Value) -> Vec<Misfit> {
    let mut graph = Graph { writer, reader, pairs: Vec::new(), ids: HashMap::new() };
    graph.id(&[writer], &[reader]);
    graph.explore();
    graph.report(&graph.failed())
}

/// The graph of the pairs that meet. A pair's id is its index; the whole schemas are pair 0.
struct Graph<'s> {
    writer: &'s Value,
    reader: &'s Value,
    pairs: Vec<Pair<'s>>,
    /// Schemas are told apart by where they are.
    ids: HashMap<[Vec<*const Value>; 2], usize>,
}

struct Pair<'s> {
    written: Node<'s>,
    accepted: Node<'s>,
    /// One for each alternative of the writer.
    choices: Vec<Choice>,
}

/// An alternative of the writer fits if one of the reader accepts it.
struct Choice {
    candidates: Vec<Candidate>,
    /// What to say if there is no candidate at all.
    otherwise: String,
}

/// What must hold for one alternative of the writer to fit one of the reader: no misfits, and all children fit.
#[derive(Default)]
struct Candidate {
    /// A step, which is empty for here, and what is wrong there.
    misfits: Vec<(String, String)>,
    children: Vec<(String, usize)>,
}

impl<'s> Graph<'s> {
    fn id(&mut self, written: &[&'s Value], accepted: &[&'s Value]) -> usize {
        let written: Node<'s> = written.iter().map(|schema| target(self.writer, schema)).collect();
        let accepted: Node<'s> = accepted.iter().map(|schema| target(self.reader, schema)).collect();
        let address = |node: &Node<'s>| node.iter().map(|schema| std::ptr::from_ref(*schema)).collect();
        *self.ids.entry([address(&written), address(&accepted)]).or_insert_with(|| {
            self.pairs.push(Pair { written, accepted, choices: Vec::new() });
            self.pairs.len() - 1
        })
    }

    /// Works out what each pair needs, which leads to further pairs.
    fn explore(&mut self) {
        let mut id = 0;
        while let Some(pair) = self.pairs.get(id) {
            let written = alternatives(self.writer, &pair.written);
            let accepted = alternatives(self.reader, &pair.accepted);
            self.pairs[id].choices = written.iter().map(|written| self.choice(written, &accepted)).collect();
            id += 1;
        }
    }

    fn choice(&mut self, written: &Shape<'s>, accepted: &[Shape<'s>]) -> Choice {
        let related = accepted.iter().filter(|accepted| related(written, accepted));
        let candidates = related.map(|accepted| self.candidate(written, accepted)).collect();
        Choice { candidates, otherwise: unknown(written, accepted) }
    }

    fn candidate(&mut self, written: &Shape<'s>, accepted: &Shape<'s>) -> Candidate {
        let mut candidate = Candidate::default();
        if accepted.constant.is_some() {
            return candidate;
        }
        candidate.misfits.extend(limits(written, accepted).into_iter().map(|what| (String::new(), what)));
        if written.may_be("object") {
            self.fields(written, accepted, &mut candidate);
        }
        if written.may_be("array") {
            self.elements(written, accepted, &mut candidate);
        }
        candidate
    }

    fn fields(&mut self, written: &Shape<'s>, accepted: &Shape<'s>, candidate: &mut Candidate) {
        for name in accepted.required.difference(&written.required) {
            let what = "the reader requires a field that is not always written".to_owned();
            candidate.misfits.push((member(name), what));
        }
        let mut child = |step, written, accepted| candidate.children.extend(self.child(step, written, accepted));
        for (name, node) in &written.properties {
            child(member(name), node, accepted.properties.get(name).unwrap_or(&accepted.rest));
        }
        for (pattern, node) in &written.patterns {
            child(ANY_FIELD.to_owned(), node, accepted.patterns.get(pattern).unwrap_or(&accepted.rest));
        }
        if written.rest.is_empty() {
            return;
        }
        // Fields of any name may have one of the names that the reader knows.
        for (name, expected) in accepted.properties.iter().filter(|(name, _)| !written.properties.contains_key(*name)) {
            child(member(name), &written.rest, expected);
        }
        for (_, expected) in accepted.patterns.iter().filter(|(name, _)| !written.patterns.contains_key(*name)) {
            child(ANY_FIELD.to_owned(), &written.rest, expected);
        }
        child(ANY_FIELD.to_owned(), &written.rest, &accepted.rest);
    }

    fn elements(&mut self, written: &Shape<'s>, accepted: &Shape<'s>, candidate: &mut Candidate) {
        let mut child = |step, written, accepted| candidate.children.extend(self.child(step, written, accepted));
        let most = written.most.get("maxItems").and_then(Number::as_u64).and_then(|most| usize::try_from(most).ok());
        let most = most.unwrap_or(usize::MAX);
        let prefix = written.prefix.len().max(accepted.prefix.len());
        for index in 0..prefix.min(most) {
            let node = written.prefix.get(index).unwrap_or(&written.items);
            child(format!("[{index}]"), node, accepted.prefix.get(index).unwrap_or(&accepted.items));
        }
        if most > prefix {
            child(ANY_ELEMENT.to_owned(), &written.items, &accepted.items);
        }
    }

    /// A reader that says nothing about a place accepts everything there.
    fn child(&mut self, step: String, written: &Node<'s>, accepted: &Node<'s>) -> Option<(String, usize)> {
        (!accepted.is_empty()).then(|| (step, self.id(written, accepted)))
    }

    fn failed(&self) -> HashSet<usize> {
        let mut failed = HashSet::new();
        loop {
            let before = failed.len();
            for (id, pair) in self.pairs.iter().enumerate() {
                if !pair.choices.iter().all(|choice| choice.fits(&failed)) {
                    failed.insert(id);
                }
            }
            if failed.len() == before {
                return failed;
            }
        }
    }

    fn report(&self, failed: &HashSet<usize>) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        let mut told = HashSet::from([0]);
        let mut next = VecDeque::from([("$".to_owned(), 0)]);
        while let Some((path, id)) = next.pop_front() {
            for choice in self.pairs[id].choices.iter().filter(|choice| !choice.fits(failed)) {
                let Some(closest) = choice.candidates.iter().min_by_key(|candidate| candidate.distance(failed)) else {
                    misfits.push(Misfit { path: path.clone(), what: choice.otherwise.clone() });
                    continue;
                };
                let found = closest.misfits.iter();
                misfits.extend(found.map(|(step, what)| Misfit { path: format!("{path}{step}"), what: what.clone() }));
                for (step, child) in closest.children.iter().filter(|(_, child)| failed.contains(child)) {
                    if told.insert(*child) {
                        next.push_back((format!("{path}{step}"), *child));
                    }
                }
            }
        }
        misfits
    }
}

impl Choice {
    fn fits(&self, failed: &HashSet<usize>) -> bool {
        self.candidates.iter().any(|candidate| candidate.distance(failed) == 0)
    }
}

impl Candidate {
    /// In how many places it doesn't fit.
    fn distance(&self, failed: &HashSet<usize>) -> usize {
        self.misfits.len() + self.children.iter().filter(|(_, child)| failed.contains(child)).count()
    }
}

/// Steps of a JSON path.
const ANY_FIELD: &str = ".*";
const ANY_ELEMENT: &str = "[*]";

/// Whether two alternatives are versions of one another, so that what differs inside is worth telling.
fn related(written: &Shape<'_>, accepted: &Shape<'_>) -> bool {
    let kinds = match (written.kind, accepted.kind) {
        (_, None) | (Some("integer"), Some("number")) => true,
        (written, accepted) => written == accepted,
    };
    let constants = accepted.constant.is_none_or(|constant| written.constant == Some(constant));
    let tags = written.tags().all(|(name, tag)| accepted.tags().all(|(other, value)| name != other || tag == value));
    let variants = written.variant().zip(accepted.variant()).is_none_or(|(written, accepted)| written == accepted);
    kinds && constants && tags && variants
}

fn unknown(written: &Shape<'_>, accepted: &[Shape<'_>]) -> String {
    const LISTED_MAX: usize = 8;
    let mut expected: Vec<_> = accepted.iter().take(LISTED_MAX).map(Shape::label).collect();
    if accepted.len() > LISTED_MAX {
        expected.push("…".to_owned());
    }
    let expected = if expected.is_empty() { "nothing".to_owned() } else { expected.join(" or ") };
    format!("{} is written, but the reader accepts {expected}", written.label())
}

fn limits(written: &Shape<'_>, accepted: &Shape<'_>) -> Vec<String> {
    let mut misfits = Vec::new();
    for (bounds, accepted, looser) in
        [(&written.least, &accepted.least, Ordering::Less), (&written.most, &accepted.most, Ordering::Greater)]
    {
        for (keyword, limit) in accepted {
            let found = bounds.get(keyword);
            if found.is_none_or(|found| compare(found, limit) == looser) {
                let found = found.map_or("none".to_owned(), Number::to_string);
                misfits.push(format!("the reader wants {keyword} {limit}, but the writer keeps to {found}"));
            }
        }
    }
    for (keyword, wanted) in &accepted.others {
        let kept = written.others.get(keyword);
        if kept.is_none_or(|kept| wanted.iter().any(|value| !kept.contains(value))) {
            let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
            misfits.push(format!("the writer does not keep to {keyword} {}", wanted.join(" and ")));
        }
    }
    misfits
}

/// A step into a field, as a JSON path writes it.
fn member(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { format!(".{name}") } else { format!("[{}]", Value::from(name)) }
}
