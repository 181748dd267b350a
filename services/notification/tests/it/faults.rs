//! Every reaction under every fault. The snapshot says which.

use anyhow::Result;
use contracts::order::CancelReason;
use notification::{Mailer, Notification, Settings, service};
use pavane_testkit::fault_matrix;
use tempfile::TempDir;

use crate::order::{EMAIL, Order};

#[tokio::test]
async fn nothing_that_fails_does_harm() -> Result<()> {
    let maildir = TempDir::new()?;
    let mut settings = Settings::default();
    settings.maildir = maildir.path().to_owned();
    let order = Order::new();
    let matrix = fault_matrix(move || service(Notification::new(Mailer::new(&settings).expect("a mailer"))))
        .event(&order.order_confirmed(EMAIL))
        .event(&order.order_cancelled(CancelReason::CustomerRequest));
    let report = Box::pin(matrix.run()).await;
    assert!(report.is_passed(), "{report}");
    insta::assert_snapshot!(report.tried());
    Ok(())
}
