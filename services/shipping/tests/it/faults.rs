//! Every reaction under every fault. The snapshot says which.

use contracts::inventory::StockReserved;
use pavane_testkit::fault_matrix;
use shipping::{Shipping, service};

use crate::order::Order;

#[tokio::test]
async fn nothing_that_fails_does_harm() {
    let order = Order::to("DE");
    let mut nowhere: StockReserved = order.reserved();
    nowhere.ship_to.country = "AQ".into();
    let report = fault_matrix(|| service(Shipping))
        .event(&order.reserved())
        .event(&nowhere)
        .event(&order.cancelled())
        .event(&order.confirmed())
        .before("dispatch-shipment", &order.reserved())
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
}
