//! The service's names: they are wire format.

use shipping::{Shipping, service};

#[test]
fn the_wiring_table_is_as_the_others_know_it() {
    let manifest = service(Shipping).manifest();
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
    assert_eq!(manifest.service, "shipping");
    assert_eq!(
        lines,
        [
            "create-shipment: inventory.reserved v1 -> shipping.created v1 | shipping.rejected v1",
            "cancel-shipment: order.cancelled v1 -> shipping.cancelled v1",
            "dispatch-shipment: order.confirmed v1 -> ",
        ]
    );
    let gives_up_with: Vec<_> = manifest.reactions.iter().map(|reaction| reaction.gives_up_with.clone()).collect();
    assert_eq!(gives_up_with[0].as_ref().map(ToString::to_string).as_deref(), Some("shipping.rejected v1"));
    assert_eq!(gives_up_with[1..], [None, None]);
}
