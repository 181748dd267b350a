//! `#[derive(Event)]`, for `pavane-contract` and for `pavane`. Use it from one of them: they have the trait, too.
//!
//! There are two derives because an expansion has to name the crate that the trait comes from, and a crate that uses `pavane` has
//! no `pavane-contract` among its dependencies. Each of the two crates exports its own as `Event`.
//!
//! The tests are those of `pavane-contract`: what an expansion does, and what the compiler says of a mistake.

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
