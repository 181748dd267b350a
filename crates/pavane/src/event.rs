//! The trait `Event` for the root, where the derive of the same name has to be the one that names `::pavane`.
//!
//! `pub use pavane_contract::Event` brings both, and two derives can't have one name. What comes by a `*` gives way to what is
//! named, each for itself: the trait stays, the derive goes.

pub use pavane_contract::Event;
