//! `pavane map`: the declared choreography, drawn.

use std::fmt;

use clap::{Args, ValueEnum};
use pavane_choreography::{Choreography, Manifest, Saga};
use serde::Serialize;

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How to draw it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page of text.
    Text,
    /// A graph for Mermaid.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
}

/// As JSON, the declarations that it is drawn from.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    manifests: &'a [Manifest],
    sagas: &'a [Saga],
    #[serde(skip)]
    drawn: String,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let choreography = deployment.declared().await?.choreography();
    let drawn = draw(&choreography, arguments.format);
    output.answer(&Answer { manifests: choreography.manifests(), sagas: choreography.sagas(), drawn })?;
    Ok(Exit::Fine)
}

fn draw(choreography: &Choreography, format: Format) -> String {
    match format {
        Format::Text => choreography.map(),
        Format::Mermaid => choreography.mermaid(),
        Format::Dot => choreography.dot(),
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.drawn)
    }
}
