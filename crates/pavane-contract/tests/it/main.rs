//! What the derive takes, and what the compiler says of the rest.

#![cfg(test)]

mod derive;
