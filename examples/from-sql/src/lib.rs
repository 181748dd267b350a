//! What the programs have in common: their arguments, and the document that they emit. None of them knows of Pavane.

use serde_json::{Value, json};

/// The database, and the number of the invoice that is paid.
///
/// # Errors
///
/// When one of them isn't there.
pub fn arguments() -> anyhow::Result<(String, String)> {
    let url = std::env::var("DATABASE_URL")?;
    let invoice = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("which invoice is paid?"))?;
    Ok((url, invoice))
}

/// That an invoice is paid.
pub fn paid(invoice: &str) -> Value {
    json!({ "entry": "pay", "type": "billing.paid", "key": invoice, "data": { "invoice": invoice } })
}
