//! The choreography, as the wiring tables say: sound.

use std::{env, fs};

use pavane_choreography::{Choreography, Manifest};
use travel::{
    car::{self, Car},
    flight::{self, Flight},
    hotel::{self, Hotel},
    itinerary,
    provider::{Client, Settings},
    ticketing::{self, Ticketing},
    trip,
};

use crate::mutants;

/// The page, of which everything after the mark is made here.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/travel.md");
const MARK: &str =
    "<!-- What follows is made from the wiring tables: PAVANE_BLESS=1 cargo test -p travel the_page_is_up_to_date -->";
/// Set to make it anew.
const BLESS: &str = "PAVANE_BLESS";

pub(crate) fn manifests() -> Vec<Manifest> {
    let client = Client::new(Settings::default()).unwrap();
    vec![
        trip::service().manifest(),
        flight::service(Flight::new(client.clone())).manifest(),
        hotel::service(Hotel::new(client.clone())).manifest(),
        car::service(Car::new(client.clone())).manifest(),
        ticketing::service(Ticketing::new(client)).manifest(),
        itinerary::service().manifest(),
    ]
}

/// It is sound, too: there is no page otherwise.
#[test]
fn the_page_is_up_to_date() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (prose, generated) = page.split_once(MARK).unwrap();
    let expected = generated_part();
    if env::var_os(BLESS).is_some() {
        fs::write(PAGE, format!("{prose}{MARK}{expected}")).unwrap();
        return;
    }
    let command = format!("{BLESS}=1 cargo test -p travel the_page_is_up_to_date");
    assert!(generated == expected, "docs/travel.md is stale: run `{command}`");
}

fn generated_part() -> String {
    let choreography = Choreography::of(manifests()).saga(trip::saga());
    let findings = choreography.check();
    assert!(findings.is_empty(), "{findings:?}");
    let explored = choreography.explore(&trip::saga()).unwrap_or_else(|violation| panic!("{violation}"));
    format!(
        "\n\n## The wiring tables\n\n```text\n{}```\n\n## What the checker looked at\n\nThe checks find nothing. The model checker:\n\n\
         ```text\n{explored}\n```\n\n## The mutants\n\n{}",
        choreography.map(),
        mutants::table()
    )
}
