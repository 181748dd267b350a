use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// One of several things of a kind that a saga has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Item {
    /// Its number; the first has the number 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl From<pavane_contract::Item> for Item {
    fn from(item: pavane_contract::Item) -> Self {
        Self { number: item.number(), of: item.count() }
    }
}

/// Some of the items that a saga has of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Items {
    /// Their numbers, sorted.
    pub numbers: Vec<u32>,
    /// How many there are.
    pub of: u32,
}

impl Items {
    /// `None` where there is none.
    pub(crate) fn of(items: impl IntoIterator<Item = pavane_contract::Item>) -> Option<Self> {
        let mut items: Vec<_> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        let of = items.first()?.count();
        Some(Self { numbers: items.into_iter().map(pavane_contract::Item::number).collect(), of })
    }
}

/// For example: `items 2 and 4 of 5`.
impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = if self.numbers.len() == 1 { "item" } else { "items" };
        write!(f, "{items} {} of {}", told(&self.numbers), self.of)
    }
}

/// How far the items are with a reaction that runs once for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ItemStep {
    /// The service.
    pub service: String,
    /// Its reaction.
    pub reaction: String,
    /// How many items there are.
    pub of: u32,
    /// The numbers of the items in each state. A state that none of them is in is left out.
    pub items: BTreeMap<ItemState, Vec<u32>>,
    /// All of this in a sentence.
    pub sentence: String,
}

impl ItemStep {
    pub(crate) fn new(service: &str, reaction: &str, of: u32, items: BTreeMap<ItemState, Vec<u32>>) -> Self {
        let sentence = sentence(of, &items);
        Self { service: service.to_owned(), reaction: reaction.to_owned(), of, items, sentence }
    }
}

/// How far an item is with a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ItemState {
    /// The reaction has run, and said no "no".
    Done,
    /// It was undone, as far as can be seen.
    Undone,
    /// It is about to be undone.
    Undoing,
    /// The reaction said no, or emitted its failure event.
    Refused,
    /// The reaction doesn't run for it (any more): its undo came first, or a person decided so.
    Skipped,
    /// The reaction is awaited.
    Waiting,
    /// It is awaited for too long.
    Late,
    /// The reaction or its undo gave up: a person has to decide.
    Failed,
    /// There is no event yet to run on.
    Missing,
}

impl ItemState {
    /// The state's name in a sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Undoing => "about to be undone",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
            Self::Waiting => "awaited",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Missing => "not there yet",
        }
    }

    /// Whether somebody may want to know which items these are.
    const fn is_named(self) -> bool {
        matches!(self, Self::Late | Self::Failed | Self::Missing)
    }
}

/// For example: `3 of 5 done, 1 refused, 1 late (4)`.
fn sentence(of: u32, items: &BTreeMap<ItemState, Vec<u32>>) -> String {
    let state = |(at, (state, numbers)): (usize, (&ItemState, &Vec<u32>))| {
        let of = if at == 0 { format!(" of {of}") } else { String::new() };
        let which = if state.is_named() { format!(" ({})", told(numbers)) } else { String::new() };
        format!("{}{of} {}{which}", numbers.len(), state.as_str())
    };
    items.iter().enumerate().map(state).collect::<Vec<_>>().join(", ")
}

/// Sorted numbers in words: `2`, `1 to 3 and 5`, `1, 3, 5, 7 and 96 more`.
fn told(numbers: &[u32]) -> String {
    const RUNS_MAX: usize = 5;
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let mut more = 0;
    if runs.len() > RUNS_MAX {
        more = runs.drain(RUNS_MAX - 1..).map(|(first, last)| last - first + 1).sum();
    }
    let run = |(first, last): (u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    let mut words: Vec<String> = runs.into_iter().map(run).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    let words = words.join(", ");
    words.rsplit_once(", ").map_or(words.clone(), |(before, last)| format!("{before} and {last}"))
}

#[cfg(test)]
mod tests {
    use super::{ItemState, sentence, told};

    #[test]
    fn numbers_are_told_in_runs() {
        let odd: Vec<u32> = (1..=1000).step_by(2).collect();
        let cases: [(&[u32], &str); 7] = [
            (&[2], "2"),
            (&[2, 4], "2 and 4"),
            (&[2, 3], "2 and 3"),
            (&[1, 2, 3], "1 to 3"),
            (&[1, 2, 3, 5, 7, 8], "1 to 3, 5, 7 and 8"),
            (&[1, 3, 5, 7, 9], "1, 3, 5, 7 and 9"),
            (&odd, "1, 3, 5, 7 and 496 more"),
        ];
        for (numbers, expected) in cases {
            assert_eq!(told(numbers), expected);
        }
    }

    #[test]
    fn items_are_counted_by_state_and_named_where_they_need_somebody() {
        let items = [(ItemState::Late, vec![4]), (ItemState::Done, vec![1, 3, 5]), (ItemState::Refused, vec![2])];
        assert_eq!(sentence(5, &items.into()), "3 of 5 done, 1 refused, 1 late (4)");
        assert_eq!(sentence(1, &[(ItemState::Missing, vec![1])].into()), "1 of 1 not there yet (1)");
    }
}
