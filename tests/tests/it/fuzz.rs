//! Whatever bytes come in, from a broker or over HTTP: nothing panics, what is read is written again as it was, and what is refused
//! is refused with a reason.
//!
//! Each target is given every file of its folder in `fuzz/corpus`, and then files that were changed at random. `FUZZ_CASES` says
//! how many of these, `FUZZ_SEED` which; `just fuzz` gives many by a seed of its own. What a long run finds goes into the corpus.

mod bodies;
mod codec;
mod letters;
mod subjects;

use std::{env, fs, future::Future, path::Path};

use pavane_contract::codec::Headers;
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    sample::{Index, select},
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};

/// What a target says of an input that shows a mistake.
type Tried = Result<(), TestCaseError>;

fn setting(name: &str, default: u64) -> u64 {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// The inputs of a target that somebody wrote down, or a run found.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "{} has hardly any files", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One change of an input.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part of it comes again somewhere else.
    Repeat(Index, usize, Index),
}

/// What is in the way of somebody who reads text, JSON, headers or percent-encoding.
const AWKWARD: [&[u8]; 16] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\"",
    b"\\u0000",
    b"%",
    b"%FF",
    b"=",
    b"{",
    b"]",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\xFF",
    "\u{202e}\u{1F600}".as_bytes(),
];

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..4_u8, any::<Index>(), any::<Index>(), 1..40_usize, any::<u8>(), select(&AWKWARD[..]));
    let change = change.prop_map(|(kind, at, to, length, byte, awkward)| match kind {
        0 => Change::Set(at, byte),
        1 => Change::Insert(at, awkward.to_vec()),
        2 => Change::Remove(at, length),
        _ => Change::Repeat(at, length, to),
    });
    vec(change, 0..6)
}

fn changed(mut input: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let end = |from: usize, length: usize| (from + length).min(input.len());
        match change {
            Change::Set(at, byte) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = *byte;
            }
            Change::Remove(at, length) if !input.is_empty() => {
                let from = at.index(input.len());
                input.drain(from..end(from, *length));
            }
            Change::Insert(at, bytes) => {
                let at = at.index(input.len() + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Change::Repeat(at, length, to) if !input.is_empty() => {
                let from = at.index(input.len());
                let part = input[from..end(from, *length)].to_vec();
                let to = to.index(input.len() + 1);
                input.splice(to..to, part);
            }
            Change::Set(..) | Change::Remove(..) | Change::Repeat(..) => {}
        }
    }
    input
}

/// Gives a target its corpus, then inputs made of it, then bytes that were never anything.
fn fuzz(target: &str, mut attempt: impl FnMut(&[u8]) -> Tried) {
    let corpus = corpus(target);
    for input in &corpus {
        attempt(input).unwrap_or_else(|why| panic!("{target}: {why}: {:?}", String::from_utf8_lossy(input)));
    }
    let (cases, seed) = (setting("FUZZ_CASES", 200), setting("FUZZ_SEED", 11));
    println!("{target}: FUZZ_SEED={seed} FUZZ_CASES={cases}");
    let cases = u32::try_from(cases).unwrap_or(u32::MAX);
    let config = Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let inputs = (proptest::option::weighted(0.9, select(corpus)), changes(), vec(any::<u8>(), 0..100));
    let inputs = inputs.prop_map(|(known, changes, bytes)| changed(known.unwrap_or(bytes), &changes));
    let attempt = std::cell::RefCell::new(&mut attempt);
    let found = TestRunner::new(config).run(&inputs, |input| {
        (attempt.borrow_mut())(&input)
            .map_err(|why| TestCaseError::fail(format!("{why}: {:?}", String::from_utf8_lossy(&input))))
    });
    found.unwrap_or_else(|found| panic!("{target}: {found}"));
}

/// As [`fuzz`], for a target that waits.
fn fuzz_async<F: Future<Output = Tried>>(
    target: &str,
    runtime: &tokio::runtime::Runtime,
    attempt: impl Fn(Vec<u8>) -> F,
) {
    fuzz(target, |input| runtime.block_on(attempt(input.to_vec())));
}

/// A message: lines of headers, an empty line, the payload.
fn message(input: &[u8]) -> (Headers, Vec<u8>) {
    let end = input.windows(2).position(|two| two == b"\n\n");
    let (head, payload) = end.map_or((input, &[][..]), |end| (&input[..end], &input[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    (head.lines().filter_map(header).collect(), payload.to_vec())
}
