//! The contracts as others see them.

#![cfg(test)]

mod golden;
mod money;
