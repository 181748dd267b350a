//! From the declaration of a struct to its `impl Event`, or to an error that says what is wrong.

use std::num::NonZeroU16;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Data, DeriveInput, Error, Fields, Ident, LitInt, LitStr, Result, Token, meta::ParseNestedMeta, parse::ParseStream,
    punctuated::Punctuated, spanned::Spanned as _,
};

/// Derives the trait that the crate of this name exports.
pub(crate) fn event(input: TokenStream, krate: &str) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let fields = fields(&input)?;
    let Declared { name, version, key } = Declared::read(&input)?;
    check_field(&key, &fields)?;
    let (ident, field, version) = (&input.ident, quote!(self.#key), version.get());
    // Spans at the key: an error about its type is then reported there.
    let (at, key_krate) = (key.span(), Ident::new(krate, key.span()));
    let key = quote_spanned!(at=> ::#key_krate::Key::from(::core::clone::Clone::clone(&#field)));
    let krate = Ident::new(krate, Span::call_site());
    Ok(quote! {
        #[automatically_derived]
        impl ::#krate::Event for #ident {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;

            fn key(&self) -> ::#krate::Key {
                #key
            }
        }
    })
}

/// A field, or a field of a field.
type FieldPath = Punctuated<Ident, Token![.]>;

/// The content of `#[event(…)]`.
struct Declared {
    name: LitStr,
    version: NonZeroU16,
    key: FieldPath,
}

impl Declared {
    fn read(input: &DeriveInput) -> Result<Self> {
        let (mut name, mut version, mut key) = (None, None, None);
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| match &meta.path {
                path if path.is_ident("name") => set(&mut name, &meta, read_name),
                path if path.is_ident("version") => set(&mut version, &meta, read_version),
                path if path.is_ident("key") => set(&mut key, &meta, read_key),
                _ => Err(meta.error("unknown attribute: an event has a `name`, a `version` and a `key`")),
            })?;
        }
        let missing = |what| Error::new(input.ident.span(), what);
        match (name, key) {
            (Some(name), Some(key)) => Ok(Self { name, version: version.unwrap_or(NonZeroU16::MIN), key }),
            (Some(_), None) => Err(missing("the event has no key: add `key = field`, with the field that it is about")),
            (None, Some(_)) => Err(missing("the event has no name: add `name = \"owner.fact\"`")),
            (None, None) => {
                Err(missing("the event has no name and no key: add `#[event(name = \"owner.fact\", key = field)]`"))
            }
        }
    }
}

fn set<T>(value: &mut Option<T>, meta: &ParseNestedMeta<'_>, read: fn(ParseStream<'_>) -> Result<T>) -> Result<()> {
    match value.replace(read(meta.value()?)?) {
        None => Ok(()),
        Some(_) => Err(meta.error("it is given already")),
    }
}

fn read_name(input: ParseStream<'_>) -> Result<LitStr> {
    let name: LitStr = input.parse()?;
    if is_event_name(&name.value()) {
        return Ok(name);
    }
    let what = "an event's name is `<owner>.<fact>`, two words of lower-case letters, digits, `-` and `_`: \
                \"payment.authorized\"";
    Err(Error::new(name.span(), what))
}

/// The rule of `pavane_contract::subject::is_event_name`, which depends on this crate. A test compares the two.
fn is_event_name(name: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    name.split_once('.').is_some_and(|(owner, fact)| word(owner) && word(fact))
}

fn read_version(input: ParseStream<'_>) -> Result<NonZeroU16> {
    let wrong = |error: Error| Error::new(error.span(), "a version is a whole number from 1 to 65535");
    input.parse::<LitInt>().and_then(|number| number.base10_parse()).map_err(wrong)
}

fn read_key(input: ParseStream<'_>) -> Result<FieldPath> {
    let wrong = |at| Error::new(at, "a key is a field, or a field of a field: `order_id` or `order.id`");
    let path = FieldPath::parse_separated_nonempty(input).map_err(|error| wrong(error.span()))?;
    if input.is_empty() || input.peek(Token![,]) { Ok(path) } else { Err(wrong(input.span())) }
}

/// The names of a struct's fields. Anything else can't be an event, or has no field for its key.
fn fields(input: &DeriveInput) -> Result<Vec<&Ident>> {
    let refuse = |at: Span, what: &str| Err(Error::new(at, format!("{what}; or implement `Event` by hand")));
    if !input.generics.params.is_empty() {
        return refuse(input.generics.span(), "an event has one name, so it is one type: remove the parameters");
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().filter_map(|field| field.ident.as_ref()).collect()),
            Fields::Unnamed(_) | Fields::Unit => {
                refuse(input.ident.span(), "an event has fields with names, of which one is its key: add `{ … }`")
            }
        },
        Data::Enum(data) => refuse(data.enum_token.span, "an event is a struct: make each variant an event of its own"),
        Data::Union(data) => refuse(data.union_token.span, "an event is a struct"),
    }
}

/// Checks the first name of the path; the compiler checks the others.
fn check_field(key: &FieldPath, fields: &[&Ident]) -> Result<()> {
    let Some(wanted) = key.first().filter(|wanted| !fields.contains(wanted)) else { return Ok(()) };
    let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
    let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
    Err(Error::new(wanted.span(), format!("the event has no field `{wanted}`: it has {fields}")))
}
