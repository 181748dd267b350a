//! `#[derive(Event)]`, for `pavane-contract` and for `pavane`. Use it from one of them: they export the trait, too.
//!
//! There are two derives because the expansion names the crate of the trait, and a crate that uses `pavane` doesn't depend on
//! `pavane-contract`. Each of the two crates exports its own derive as `Event`.
//!
//! The tests are in `pavane-contract`: what an expansion does, and the compiler's errors.

mod expand;

use proc_macro::TokenStream;

#[doc = include_str!("event.md")]
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    expand::event(input.into(), "pavane_contract").unwrap_or_else(syn::Error::into_compile_error).into()
}

#[doc = include_str!("event.md")]
#[proc_macro_derive(PavaneEvent, attributes(event))]
pub fn pavane_event(input: TokenStream) -> TokenStream {
    expand::event(input.into(), "pavane").unwrap_or_else(syn::Error::into_compile_error).into()
}
