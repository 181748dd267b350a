//! The service's part of the choreography. Names of reactions are names of durable consumers, so a change here is a
//! change of what runs in production.

use anyhow::Result;
use payment::{Payment, PspClient, Settings, service};

#[test]
fn the_choreography_is_as_agreed() -> Result<()> {
    let payment = Payment::new(PspClient::new(&Settings::default())?);
    insta::assert_json_snapshot!(service(payment).manifest());
    Ok(())
}
