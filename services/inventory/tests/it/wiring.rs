//! The service's names: they are wire format.

use inventory::{Inventory, service};

#[test]
fn the_wiring_table_is_as_the_others_know_it() {
    let manifest = service(Inventory).manifest();
    let refs = |events: &[pavane_contract::EventRef]| events.iter().map(ToString::to_string).collect::<Vec<_>>();
    let lines: Vec<_> = manifest
        .reactions
        .iter()
        .map(|reaction| {
            let emits: Vec<_> =
                reaction.emits.iter().flat_map(pavane_choreography::Emission::events).cloned().collect();
            format!("{}: {} -> {}", reaction.name, refs(&reaction.on).join(", "), refs(&emits).join(" | "))
        })
        .collect();
    assert_eq!(manifest.service, "inventory");
    assert_eq!(
        lines,
        [
            "reserve-stock: payment.authorized v1 -> inventory.reserved v1 | inventory.rejected v1",
            "release-stock: order.cancelled v1 -> inventory.released v1",
            "ship-stock: order.confirmed v1 -> ",
        ]
    );
    let gives_up_with: Vec<_> = manifest.reactions.iter().map(|reaction| reaction.gives_up_with.clone()).collect();
    assert_eq!(gives_up_with[0].as_ref().map(ToString::to_string).as_deref(), Some("inventory.rejected v1"));
    assert_eq!(gives_up_with[1..], [None, None]);
}
