//! The service's part of the choreography. Names of reactions are names of durable consumers, so a change here is a
//! change of what runs in production.

use inventory::{Inventory, service};

#[test]
fn the_choreography_is_as_agreed() {
    insta::assert_json_snapshot!(service(Inventory).manifest());
}
