//! Diagrams of a choreography: as a map in text, as a graph for Mermaid and Graphviz, and of single runs.

mod graph;
mod map;
mod path;
mod sequence;

pub(crate) use graph::{dot, mermaid};
pub(crate) use map::map;
pub use path::Path;
pub(crate) use path::paths;
pub use sequence::Sequence;
