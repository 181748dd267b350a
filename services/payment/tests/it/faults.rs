//! Every reaction under every fault. The snapshot says which.

use anyhow::Result;
use pavane_testkit::fault_matrix;
use payment::{Payment, PspClient, Settings, service};

use crate::{
    order::{Order, TOTAL},
    provider::{INSTANT, Provider},
};

#[tokio::test]
async fn nothing_that_fails_does_harm() -> Result<()> {
    let provider = Provider::start(INSTANT).await?;
    let mut settings = Settings::default();
    settings.psp_url = provider.url();
    let client = PspClient::new(&settings)?;
    let order = Order::new();
    let placed = |card: &str| order.order_placed(card, TOTAL);
    let report = fault_matrix(move || service(Payment::new(client.clone())))
        .event(&placed("pm_card_visa"))
        .event(&placed("pm_card_declined"))
        .event(&placed("pm_card_error_once"))
        .event(&order.shipment_created())
        .event(&order.order_cancelled())
        .before("capture-payment", &placed("pm_card_visa"))
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}
