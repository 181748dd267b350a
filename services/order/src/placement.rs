//! The request to place an order: its shape, and what makes it acceptable.

use std::time::Duration;

use contracts::{Address, Currency, Line, Money, OrderDetails};
use email_address::{EmailAddress, Options};
use serde::Deserialize;
use utoipa::ToSchema;
use web::FieldError;

use crate::Settings;

const LINES_MAX: usize = 100;
const QUANTITY_MAX: i64 = 1000;
const SKU_CHARS_MAX: usize = 64;
const TEXT_CHARS_MAX: usize = 200;

/// An order as the customer sends it. Everything is optional here, so that everything that is missing can be named at once.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = PlaceOrder)]
pub(crate) struct Request {
    /// Where the customer reads mail.
    #[schema(required = true, value_type = String, examples("ada@example.com"))]
    email: Option<String>,
    /// What is ordered: 1 to 100 lines.
    #[schema(required = true, value_type = Vec<RequestLine>, min_items = 1, max_items = 100)]
    lines: Option<Vec<RequestLine>>,
    /// ISO 4217 code, upper case.
    #[schema(required = true, value_type = String, examples("EUR"))]
    currency: Option<String>,
    /// Where it goes.
    #[schema(required = true, value_type = ShipTo)]
    ship_to: Option<ShipTo>,
    /// The payment method's token, as the payment provider knows it; never a card number.
    #[schema(required = true, value_type = String, examples("pm_card_visa"))]
    card: Option<String>,
    /// How long the order may take, in seconds, before it is cancelled.
    #[schema(minimum = 1, value_type = Option<u64>)]
    deadline_seconds: Option<i64>,
}

/// One line of an order.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct RequestLine {
    /// What is ordered.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 64)]
    sku: Option<String>,
    /// How many pieces.
    #[schema(required = true, value_type = u32, minimum = 1, maximum = 1000)]
    quantity: Option<i64>,
    /// The price of one piece in minor units (cents).
    #[schema(required = true, value_type = i64, minimum = 0)]
    unit_price_minor: Option<i64>,
}

/// Where a parcel goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct ShipTo {
    /// Who receives it.
    #[schema(required = true, value_type = String)]
    name: Option<String>,
    /// Street and number.
    #[schema(required = true, value_type = String)]
    street: Option<String>,
    /// Town.
    #[schema(required = true, value_type = String)]
    city: Option<String>,
    /// Postal code, as the country writes it.
    #[schema(required = true, value_type = String)]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2 code, upper case.
    #[schema(required = true, value_type = String, examples("DE"))]
    country: Option<String>,
}

/// An order that can be accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placement {
    pub(crate) email: String,
    pub(crate) details: OrderDetails,
    pub(crate) total: Money,
    pub(crate) card: String,
    pub(crate) deadline: Duration,
}

impl Request {
    /// Checks everything, and names all that is wrong at once.
    pub(crate) fn check(self, settings: &Settings) -> Result<Placement, Vec<FieldError>> {
        let mut found = Errors::default();
        let email = found.keep("email", email(self.email));
        let currency = found.keep("currency", currency(self.currency));
        let lines = lines(self.lines, currency.as_ref(), &mut found);
        let total = lines.as_deref().and_then(|lines| found.keep("lines", total(lines)));
        let ship_to = address(self.ship_to, &mut found);
        let card = found.keep("card", card(self.card));
        let deadline = found.keep("deadline_seconds", deadline(self.deadline_seconds, settings));
        match (email, lines, total, ship_to, card, deadline) {
            (Some(email), Some(lines), Some(total), Some(ship_to), Some(card), Some(deadline))
                if found.0.is_empty() =>
            {
                Ok(Placement { email, details: OrderDetails { lines, ship_to }, total, card, deadline })
            }
            _ => Err(found.0),
        }
    }
}

/// What is wrong with the request so far.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    /// The value, or a note of what is wrong with it.
    fn keep<T>(&mut self, field: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|detail| self.0.push(FieldError::new(field, detail))).ok()
    }
}

fn text(value: Option<String>, chars_max: usize) -> Result<String, String> {
    let value = value.ok_or("is missing")?;
    let trimmed = value.trim();
    if trimmed.is_empty() {
        Err("is empty".to_owned())
    } else if trimmed.chars().count() > chars_max {
        Err(format!("has more than {chars_max} characters"))
    } else if trimmed.chars().any(char::is_control) {
        Err("has control characters".to_owned())
    } else {
        Ok(trimmed.to_owned())
    }
}

fn email(value: Option<String>) -> Result<String, String> {
    // RFC 5321, section 4.5.3.1.3, less the angle brackets.
    const CHARS_MAX: usize = 254;
    let email = text(value, CHARS_MAX)?;
    let options = Options::default().without_display_text().without_domain_literal();
    match EmailAddress::parse_with_options(&email, options) {
        Ok(_) => Ok(email),
        Err(error) => Err(format!("is not an e-mail address: {error}")),
    }
}

fn currency(value: Option<String>) -> Result<Currency, String> {
    let code = value.ok_or("is missing")?;
    code.parse::<Currency>().map_err(|error| error.to_string())
}

fn lines(asked: Option<Vec<RequestLine>>, currency: Option<&Currency>, found: &mut Errors) -> Option<Vec<Line>> {
    let asked = asked.unwrap_or_default();
    if !(1..=LINES_MAX).contains(&asked.len()) {
        let detail = format!("an order has 1 to {LINES_MAX} lines, this has {}", asked.len());
        found.0.push(FieldError::new("lines", detail));
        return None;
    }
    let checked: Vec<_> = asked.into_iter().enumerate().map(|(at, asked)| line(at, asked, currency, found)).collect();
    checked.into_iter().collect()
}

fn line(at: usize, asked: RequestLine, currency: Option<&Currency>, found: &mut Errors) -> Option<Line> {
    let sku = found.keep(&format!("lines[{at}].sku"), text(asked.sku, SKU_CHARS_MAX));
    let quantity = found.keep(&format!("lines[{at}].quantity"), quantity(asked.quantity));
    let minor = found.keep(&format!("lines[{at}].unit_price_minor"), price(asked.unit_price_minor));
    let unit_price = Money { minor: minor?, currency: currency?.clone() };
    Some(Line { sku: sku?.into(), quantity: quantity?, unit_price })
}

fn quantity(value: Option<i64>) -> Result<u32, String> {
    match value.ok_or("is missing")? {
        asked @ 1..=QUANTITY_MAX => u32::try_from(asked).map_err(|error| error.to_string()),
        asked => Err(format!("is {asked}; 1 to {QUANTITY_MAX} can be ordered")),
    }
}

fn price(value: Option<i64>) -> Result<i64, String> {
    match value.ok_or("is missing")? {
        minor @ 0.. => Ok(minor),
        minor => Err(format!("is {minor}; a price is 0 or more")),
    }
}

/// More than nothing: there is nothing to pay otherwise, and payment is what starts the saga.
fn total(lines: &[Line]) -> Result<Money, String> {
    let mut prices = lines.iter().map(|line| line.unit_price.times(line.quantity));
    let sum = prices.next().ok_or("is empty")?.and_then(|first| prices.try_fold(first, |sum, next| sum.add(&next?)));
    match sum {
        Ok(total) if total.minor > 0 => Ok(total),
        Ok(_) => Err("cost nothing together; an order costs more than 0".to_owned()),
        Err(error) => Err(format!("can't be added up: {error}")),
    }
}

fn address(asked: Option<ShipTo>, found: &mut Errors) -> Option<Address> {
    let Some(asked) = asked else {
        found.0.push(FieldError::new("ship_to", "is missing"));
        return None;
    };
    let name = found.keep("ship_to.name", text(asked.name, TEXT_CHARS_MAX));
    let street = found.keep("ship_to.street", text(asked.street, TEXT_CHARS_MAX));
    let city = found.keep("ship_to.city", text(asked.city, TEXT_CHARS_MAX));
    let postal_code = found.keep("ship_to.postal_code", text(asked.postal_code, TEXT_CHARS_MAX));
    let country = found.keep("ship_to.country", country(asked.country));
    Some(Address { name: name?, street: street?, city: city?, postal_code: postal_code?, country: country? })
}

/// Whether a country with that code exists, and is delivered to, is the shipping service's business.
fn country(value: Option<String>) -> Result<String, String> {
    let code = value.ok_or("is missing")?;
    if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(code)
    } else {
        Err(format!("{code:?} is not a country code: two upper-case letters are wanted"))
    }
}

fn card(value: Option<String>) -> Result<String, String> {
    const CHARS_MAX: usize = 255;
    let card = text(value, CHARS_MAX)?;
    let digits = card.chars().filter(char::is_ascii_digit).count();
    // A card number in an event would stay in the streams and in every service's database.
    if digits >= 12 && card.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return Err("looks like a card number; send the payment provider's token for it".to_owned());
    }
    Ok(card)
}

fn deadline(value: Option<i64>, settings: &Settings) -> Result<Duration, String> {
    let Some(asked) = value else { return Ok(settings.deadline) };
    let most = settings.deadline_max.as_secs();
    match u64::try_from(asked) {
        Ok(seconds) if (1..=most).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("is {asked}; 1 to {most} seconds can be asked for")),
    }
}

#[cfg(test)]
mod tests;
