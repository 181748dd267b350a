//! The dashboard in a real browser: what somebody sees who watches a shop.
//!
//! `PAVANE_BLESS=1` keeps a screenshot of each page in docs/screenshots.

use std::{env, fs, path::Path};

use monitor::{Settings, Token};
use serde_json::json;

use crate::{
    shop::{Shop, TOKEN},
    webdriver::{Browser, Scheme},
};

/// Pages are loaded by people who wait.
const PICTURE_MAX: usize = 300 * 1024;
/// Lets somebody look at a monitor that is closed to others.
const READS: &str = "whoever-has-it-reads";
/// The lines of the graph with a bend that is no further from a node at their ends than half a busy node's height. Cytoscape can't
/// draw a line that ends in a node which it bends into, and complains on the console.
const BENT_INTO_A_NODE: &str = "
    const beside = (bend, node) => Math.abs(bend.y - node.position('y')) < 22;
    const bent = (edge) => edge.segmentPoints().some((bend) => beside(bend, edge.source()) || beside(bend, edge.target()));
    return document.querySelector('.graph').cy.edges().filter(bent).map((edge) => edge.id());
";
/// The nodes of the graph that cover another one, with what is written into them while something flows.
const COVERED: &str = "
    const box = (node) => node.boundingBox({ includeLabels: false, includeOverlays: false });
    const meet = (one, other) => one.x1 < other.x2 && other.x1 < one.x2 && one.y1 < other.y2 && other.y1 < one.y2;
    const nodes = document.querySelector('.graph').cy.nodes().toArray();
    const covers = (node, at) => nodes.slice(at + 1).filter((other) => meet(box(node), box(other))).map((other) => [node.id(), other.id()]);
    return nodes.flatMap(covers);
";
const ENTER: &str = "\u{E007}";

#[tokio::test(flavor = "multi_thread")]
async fn somebody_watches_a_shop() {
    let (mut shop, browser) = tokio::join!(Shop::open(), Browser::start());
    browser.scheme(Scheme::Light).await;

    the_graph_moves(&shop, &browser).await;
    an_order_gets_stuck_and_goes_on(&mut shop, &browser).await;
    a_dead_letter_is_redriven(&shop, &browser).await;
    an_undo_is_retried(&shop, &browser).await;
    every_page_in_the_dark(&shop, &browser).await;
    a_closed_monitor_asks_for_a_token(&mut shop, &browser).await;

    let origin = json!(shop.url("monitor", "/"));
    let elsewhere = format!(
        "return performance.getEntriesByType('resource').map((it) => it.name).filter((it) => !it.startsWith({origin}))"
    );
    assert_eq!(browser.evaluate(&elsewhere).await, json!([]), "something was loaded from elsewhere");
}

async fn the_graph_moves(shop: &Shop, browser: &Browser) {
    browser.open(&shop.url("monitor", "/choreography")).await;
    browser.until("document.querySelector('.graph')?.cy?.nodes().length > 25").await;
    let flows = |event: &str| {
        format!("document.querySelector('.graph').cy.getElementById({}).hasClass('flowing')", json!(event))
    };
    assert_eq!(browser.evaluate(&format!("return {}", flows("order.confirmed"))).await, false);
    let mut order = String::new();
    for _ in 0..12 {
        order = shop.order().await;
    }
    for event in ["order.placed", "payment.authorized", "shipping.created", "order.confirmed"] {
        browser.until(&flows(event)).await;
    }
    assert_eq!(browser.evaluate(BENT_INTO_A_NODE).await, json!([]), "these lines bend at or in a node at their ends");
    assert_eq!(browser.evaluate(COVERED).await, json!([]), "these nodes cover one another");
    picture(browser, "choreography", Scheme::Light).await;

    // A saga that the monitor has not read yet is not found, and browsers complain of that on the console.
    shop.saga(&order, "completed").await;
    browser.press("/").await;
    browser.until("document.activeElement.type === 'search'").await;
    browser.write(".search input", &format!("{order}{ENTER}")).await;
    browser.until_says(".outcome", "completed").await;
    for event in ["order.placed", "payment.captured", "order.confirmed"] {
        browser.until_says(".timeline button.event", event).await;
        browser.until(&format!("document.querySelector('svg.sequence').textContent.includes({})", json!(event))).await;
    }
    browser.click(".timeline li:first-child button.event").await;
    browser.until_says(".timeline .message pre", "(personal)").await;
    browser.click(".timeline li:first-child button.event").await;
    browser.evaluate("document.activeElement.blur(); return null").await;
    picture(browser, "saga", Scheme::Light).await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

async fn an_order_gets_stuck_and_goes_on(shop: &mut Shop, browser: &Browser) {
    shop.stop("shipping").await;
    let order = shop.order().await;
    shop.known(&order).await;
    browser.open(&shop.url("monitor", &format!("/sagas/{order}"))).await;
    browser.evaluate("window.sameDocument = true; return null").await;
    browser.until_says(".waiting .sentence", "shipping.created or shipping.rejected from shipping").await;
    browser.until_says(".outcome", "stuck").await;
    picture(browser, "stuck-saga", Scheme::Light).await;

    browser.click("nav a[href='/stuck']").await;
    browser.until_says("h2", "1 saga waits for shipping").await;
    browser.until_says("nav a[href='/stuck'] .badge", "1").await;
    picture(browser, "stuck", Scheme::Light).await;
    browser.click("nav a[href='/choreography']").await;
    browser
        .until("document.querySelector('.graph')?.cy?.getElementById('shipping/create-shipment').hasClass('overdue')")
        .await;
    let edge = "document.querySelector('.graph').cy.getElementById('inventory.reserved→shipping/create-shipment')";
    browser.evaluate(&format!("{edge}.emit('tap'); return null")).await;
    browser.until_says(".chosen h3", "1 saga waiting here").await;
    picture(browser, "choreography-stuck", Scheme::Light).await;
    browser.click(".waiting-here .key").await;
    browser.until_says(".outcome", "stuck").await;

    shop.start_shipping().await;
    browser.until_says(".outcome", "completed").await;
    browser.until("document.querySelector('.waiting') === null").await;
    assert_eq!(
        browser.evaluate("return window.sameDocument").await,
        true,
        "it was seen live, without loading the page again"
    );
    browser.click("nav a[href='/stuck']").await;
    browser.until_says(".fine", "Nothing is stuck.").await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

async fn a_dead_letter_is_redriven(shop: &Shop, browser: &Browser) {
    browser.click("nav a[href='/dead-letters']").await;
    browser.until_says(".fine", "There are none.").await;
    shop.strike(true);
    let order = shop.order().await;
    browser.until_says(".groups .cause", "the carrier is on strike").await;
    shop.strike(false);
    browser.click(".groups a").await;
    browser.click(".letter .row").await;
    browser.until_says(".letter .message pre", "order_id").await;
    browser.click("[role=tab]:nth-of-type(2)").await;
    browser.until_says(".looked", "1 of 1 letter can go; nothing speaks against it.").await;
    browser.until_says(".redrive", "Sign in at the top to act.").await;

    browser.click("button.access").await;
    browser.write("dialog input[name=token]", TOKEN).await;
    browser.click("dialog button.primary").await;
    browser.until_says("button.access", "Thoinot").await;
    browser.until_says(".decide", "As Thoinot").await;
    browser.write(".decide input[name=reason]", "the strike is over").await;
    picture(browser, "dead-letters", Scheme::Light).await;
    browser.click(".decide button.primary").await;
    browser.until_says(".redrives", "1 of 1: 1 redriven").await;
    browser.until_says(".redrives .chip", "done").await;

    browser.write(".search input", &format!("{order}{ENTER}")).await;
    browser.until_says(".outcome", "completed").await;
    browser.until_says(".decisions", "the strike is over").await;
    browser.click(".timeline li:first-child button.event").await;
    browser.until_says(".timeline .message pre", "(personal)").await;
    browser.click(".reveal button.link").await;
    browser.write(".reveal input[name=reason]", "the street is missing").await;
    browser.click(".reveal button.primary").await;
    browser.until_says(".timeline .message pre", "1 Rue de la Pavane").await;
    browser.until_says(".decisions", "the street is missing").await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

async fn an_undo_is_retried(shop: &Shop, browser: &Browser) {
    shop.keep_parcels(true);
    let order = shop.order_paid_with("pm_card_capture_fails").await;
    shop.saga(&order, "needs-review").await;
    shop.keep_parcels(false);
    browser.click("nav a[href='/stuck']").await;
    browser.until_says("h2", "1 saga to decide about").await;
    browser.click(".stuck li button").await;
    browser.until_says(".opened .decide button", "Retry undo").await;
    browser.write(".opened .decide:first-of-type input[name=reason]", "the carrier yields").await;
    browser.click(".opened .decide:first-of-type button.primary").await;
    browser.until_says(".fine", "Nothing is stuck.").await;
    shop.saga(&order, "compensated").await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

async fn a_closed_monitor_asks_for_a_token(shop: &mut Shop, browser: &Browser) {
    // A page that is open would complain that nobody answers.
    browser.open("about:blank").await;
    shop.stop("monitor").await;
    let closed = Settings::default().with_read_token(Token::new(READS).unwrap());
    shop.start_monitor(closed).await;
    shop.ready("monitor").await;
    browser.open(&shop.url("monitor", "/sagas")).await;
    browser.until_says(".sign-in", "Sign in").await;
    assert_eq!(browser.evaluate("return document.querySelectorAll('table').length").await, 0);
    browser.write(".sign-in input[name=token]", READS).await;
    browser.click(".sign-in button.primary").await;
    browser.until("document.querySelectorAll('table.list tbody tr').length > 10").await;
    browser.until("document.querySelector('.pulse.on') !== null").await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

async fn every_page_in_the_dark(shop: &Shop, browser: &Browser) {
    browser.scheme(Scheme::Dark).await;
    for path in ["/choreography", "/stuck", "/dead-letters", "/sagas"] {
        browser.open(&shop.url("monitor", path)).await;
        browser.until("document.querySelector('.pulse.on') !== null").await;
        let background = browser.evaluate("return getComputedStyle(document.documentElement).backgroundColor").await;
        assert_eq!(background, "rgb(22, 24, 28)", "{path} is not dark");
    }
    for (card, state) in [("pm_card_declined", "compensated"), ("pm_card_capture_fails", "compensated")] {
        let order = shop.order_paid_with(card).await;
        shop.saga(&order, state).await;
    }
    shop.strike(true);
    let order = shop.order().await;
    shop.saga(&order, "stuck").await;
    browser.until("document.querySelectorAll('table.list tbody tr').length === 18").await;
    browser.until_says("tr.stuck", "in vain: create-shipment gave up").await;
    browser.until_says(".tile.compensated", "3").await;
    picture(browser, "sagas-dark", Scheme::Dark).await;
    picture(browser, "sagas", Scheme::Light).await;
    assert_eq!(browser.errors().await, [""; 0], "the console complains");
}

/// Keeps a picture for the docs, if that is asked for.
async fn picture(browser: &Browser, name: &str, scheme: Scheme) {
    if env::var_os("PAVANE_BLESS").is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/screenshots");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.png"));
    let png = browser.screenshot(scheme).await;
    assert!(png.len() < PICTURE_MAX, "{name}.png has {} bytes", png.len());
    fs::write(path, png).unwrap();
}
