//! Billing's part of the saga: it emits that an invoice is issued, and marks it as paid.

use pavane::postgres::{Service, Tx};
use pavane::{EntryPoint, Envelope, Event, Handled, Key, on};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where invoices are issued.
pub(crate) const ISSUE: EntryPoint = EntryPoint::new("issue");

/// An invoice was issued.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InvoiceIssued {
    pub(crate) invoice: i64,
    pub(crate) cents: i64,
}

impl Event for InvoiceIssued {
    const NAME: &'static str = "billing.invoice-issued";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.invoice.to_string().into()
    }
}

/// The bank has the money. The bank's event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TransferArrived {
    pub(crate) invoice: i64,
}

impl Event for TransferArrived {
    const NAME: &'static str = "bank.transfer-arrived";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.invoice.to_string().into()
    }
}

/// An invoice is settled.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InvoicePaid {
    pub(crate) invoice: i64,
}

impl Event for InvoicePaid {
    const NAME: &'static str = "billing.invoice-paid";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.invoice.to_string().into()
    }
}

async fn mark_paid((): &(), tx: &mut Tx, arrived: &Envelope<TransferArrived>) -> Handled {
    let mark = sqlx::query("update invoices set is_paid = true where id = $1 and not is_paid");
    if mark.bind(arrived.invoice).execute(tx.conn()).await?.rows_affected() > 0 {
        tx.emit(&InvoicePaid { invoice: arrived.invoice }).await?;
    }
    Ok(())
}

pub(crate) fn service() -> Service<()> {
    Service::new("billing", ())
        .entry(&ISSUE, pavane::Declared::emits::<InvoiceIssued>)
        .react("mark-paid", on(mark_paid).may_emit::<InvoicePaid>())
}

#[cfg(test)]
mod tests {
    use pavane_testkit::fault_matrix;

    use super::*;

    #[tokio::test]
    async fn nothing_that_fails_does_harm() {
        let matrix = fault_matrix(|| service().migrations(sqlx::migrate!()))
            .given(async |db| {
                let insert = "insert into invoices (customer, cents) values ('Thoinot', 1999)";
                sqlx::query(insert).execute(db.writers()).await.unwrap();
            })
            .event(&TransferArrived { invoice: 1 });
        matrix.assert().await;
    }

    /// How many lines of `after` are not in `before`, in order.
    fn changed(before: &str, after: &str) -> usize {
        let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
        let mut kept = vec![vec![0; after.len() + 1]; before.len() + 1];
        for (row, old) in before.iter().enumerate() {
            for (column, new) in after.iter().enumerate() {
                kept[row + 1][column + 1] =
                    if old == new { kept[row][column] + 1 } else { kept[row][column + 1].max(kept[row + 1][column]) };
            }
        }
        after.len() - kept[before.len()][after.len()]
    }

    #[test]
    fn pavane_comes_into_a_service_that_exists_with_fifteen_lines() {
        let code = changed(include_str!("../../billing-before/src/main.rs"), include_str!("main.rs"));
        let dependencies = 2;
        let tables = (
            include_str!("../../billing-before/migrations/0001_invoices.sql"),
            include_str!("../migrations/0001_invoices.sql"),
        );
        assert_eq!(tables.0, tables.1);
        assert!(code + dependencies <= 15, "{code} lines of code and {dependencies} dependencies");
        assert!(code > 5, "it compares what differs");
        let page = include_str!("../../../docs/into-a-service.md");
        let told = page.lines().filter(|line| line.starts_with('+')).count();
        assert_eq!(told, code, "the page shows the difference");
    }
}
