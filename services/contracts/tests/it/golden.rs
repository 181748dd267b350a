//! Every event is held by its golden file, and every golden file by its event.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use contracts::{
    Address, Line, Money, OrderDetails, OrderId,
    inventory::{StockRejected, StockReleased, StockReserved},
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced},
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
    shipping::{ShipmentCancelled, ShipmentCreated, ShipmentRejected},
};
use pavane_contract::{Event, golden, subject};
use uuid::uuid;

/// Set it to accept additive changes.
const UPDATE: &str = "UPDATE_GOLDEN";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn assert_golden<E: Event + PartialEq>(example: &E) {
    assert!(subject::is_event_name(E::NAME), "{}", E::NAME);
    let file = folder("golden").join(golden::file_name::<E>());
    let committed = fs::read_to_string(&file).ok();
    let text = golden::check(example, committed.as_deref()).unwrap_or_else(|error| panic!("{error}"));
    if env::var_os(UPDATE).is_some() {
        fs::write(&file, text).unwrap();
    } else {
        assert_eq!(committed, Some(text), "{} is stale; accept the change with {UPDATE}=1", file.display());
    }
}

/// One test for each event, and the list of them all.
macro_rules! goldens {
    ($($test:ident: $event:ident { $($field:ident: $value:expr),* $(,)? })+) => {
        $(#[test]
        fn $test() {
            assert_golden(&$event { order_id: order_id(), $($field: $value),* });
        })+

        const FILES: &[fn() -> String] = &[$(golden::file_name::<$event>),+];
        const EVENTS: &[&str] = &[$($event::NAME),+];
    };
}

goldens! {
    order_placed: OrderPlaced { details: details(), total: eur(4300), card: "tok_visa".into() }
    order_deadline_passed: OrderDeadlinePassed {}
    order_confirmed: OrderConfirmed { email: email(), total: eur(4300) }
    order_cancelled: OrderCancelled { email: email(), total: eur(4300), reason: CancelReason::OutOfStock }
    payment_authorized: PaymentAuthorized { amount: eur(4300), details: details() }
    payment_declined: PaymentDeclined {}
    payment_captured: PaymentCaptured { amount: eur(4300) }
    payment_capture_failed: PaymentCaptureFailed {}
    payment_voided: PaymentVoided { amount: eur(4300) }
    payment_refunded: PaymentRefunded { amount: eur(4300) }
    stock_reserved: StockReserved { ship_to: details().ship_to }
    stock_rejected: StockRejected { sku: "SKU-LUTE".into() }
    stock_released: StockReleased {}
    shipment_created: ShipmentCreated {}
    shipment_rejected: ShipmentRejected {}
    shipment_cancelled: ShipmentCancelled {}
}

/// That every event has a file is what its own test says.
#[test]
fn every_golden_file_belongs_to_an_event() {
    let expected: BTreeSet<_> = FILES.iter().map(|name| name()).collect();
    for entry in fs::read_dir(folder("golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&name), "golden/{name} belongs to no event");
    }
}

/// The sources are read because a type can't be asked which events a crate has: derived, or by hand.
#[test]
fn no_event_is_left_out() {
    let mut declared = BTreeSet::new();
    for entry in fs::read_dir(folder("src")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines().map(str::trim) {
            let derived = line.strip_prefix("#[event(name = \"");
            if let Some(rest) = derived.or(line.strip_prefix("const NAME: &'static str = \"")) {
                declared.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    assert_eq!(declared, EVENTS.iter().map(ToString::to_string).collect());
}

fn order_id() -> OrderId {
    uuid!("01920000-0000-7000-8000-000000000042").into()
}

fn email() -> String {
    "thoinot@example.com".into()
}

fn eur(minor: i64) -> Money {
    Money { minor, currency: "EUR".parse().unwrap() }
}

fn details() -> OrderDetails {
    OrderDetails {
        lines: vec![
            Line { sku: "SKU-LUTE".into(), quantity: 1, unit_price: eur(3900) },
            Line { sku: "SKU-STRING".into(), quantity: 2, unit_price: eur(200) },
        ],
        ship_to: Address {
            name: "Thoinot Arbeau".into(),
            street: "Rue de la Danse 7".into(),
            city: "Langres".into(),
            postal_code: "52200".into(),
            country: "FR".into(),
        },
    }
}
