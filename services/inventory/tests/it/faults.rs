//! Every reaction under every fault. The snapshot says which.

use contracts::payment::PaymentAuthorized;
use inventory::{Inventory, service};
use pavane_testkit::fault_matrix;

use crate::{order::Order, shelf::stock};

#[tokio::test]
async fn nothing_that_fails_does_harm() {
    let order = Order::of(&[("tea", 2)]);
    let mut too_much: PaymentAuthorized = order.authorized();
    too_much.details.lines[0].quantity = 100;
    let report = fault_matrix(|| service(Inventory))
        .given(|db| async move { stock(&db, "tea", 10).await })
        .event(&order.authorized())
        .event(&too_much)
        .event(&order.cancelled())
        .event(&order.confirmed())
        .before("ship-stock", &order.authorized())
        .run()
        .await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
}
