//! The shop's events, one module for each service that owns some.
//!
//! The events carry the state that the next steps need, so no service ever asks another. Their names, fields and
//! subjects are wire format: `golden/` holds one committed example and schema of each, and a test keeps them.
//!
//! Contracts grow additively within a version: readers ignore fields that they don't know. A breaking change raises the
//! version, and with it the name of the golden file.

pub mod inventory;
mod money;
pub mod order;
pub mod payment;
pub mod shipping;
mod value;

pub use money::{Currency, Money, MoneyError};
pub use value::{Address, Line, OrderDetails, OrderId, Sku};
