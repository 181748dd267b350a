//! The shop's choreography, as its wiring tables say: sound, and drawn in `docs/choreography.md`.

use std::{env, fmt::Write as _, fs, path::Path};

use order::saga;
use pavane_choreography::Choreography;

use crate::invariants::manifests;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/choreography.md");

fn shop() -> Choreography {
    Choreography::of(manifests()).saga(saga())
}

#[test]
fn the_choreography_is_sound() {
    shop().assert_sound();
}

#[test]
fn the_page_is_up_to_date() {
    let page = page();
    if env::var_os("PAVANE_BLESS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        page == committed,
        "docs/choreography.md is stale: run `PAVANE_BLESS=1 cargo test -p shop-tests the_page_is_up_to_date`"
    );
    assert!(Path::new(PAGE).is_file());
}

fn page() -> String {
    let shop = shop();
    let exploration = shop.explore(&saga()).unwrap_or_else(|violation| panic!("{violation}"));
    let mut page = format!(
        "# The shop's choreography\n\n\
         Made from the services' wiring tables by `PAVANE_BLESS=1 cargo test -p shop-tests the_page_is_up_to_date`; a test \
         fails when it is stale.\n\n\
         The checks find nothing, and the [model checker](model-checker.md) explored {} states, which stand for every \
         interleaving of deliveries, duplicates, answers, cancel and deadline: {} ends with everything done, {} with \
         everything undone, and no other.\n\n\
         ```text\n{}```\n\n```mermaid\n{}```\n\n## Paths\n\n\
         The good one first, then one for each thing that can go otherwise.\n",
        exploration.states,
        exploration.completed,
        exploration.aborted,
        shop.map(),
        shop.mermaid(),
    );
    for path in shop.paths(&saga()) {
        write!(page, "\n### {}\n\n```mermaid\n{}```\n", path.title, path.sequence.mermaid()).unwrap();
    }
    page
}
