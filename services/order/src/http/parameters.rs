use axum::extract::{
    Path, Query,
    rejection::{PathRejection, QueryRejection},
};
use contracts::OrderId;
use serde::Deserialize;
use utoipa::IntoParams;
use web::Problem;

use crate::{domain::Status, store};

const LIMIT_DEFAULT: i64 = 50;
const LIMIT_MAX: i64 = 200;

/// The last part of a path, if it could be read.
pub(crate) type PathId = Result<Path<String>, PathRejection>;

/// The order that a path names.
pub(crate) fn order_id(path: PathId) -> Result<OrderId, Problem> {
    let Path(text) = path.map_err(|rejected| Problem::bad_request("id", rejected.body_text()))?;
    text.parse().map_err(|error| Problem::bad_request("id", format!("{text:?} is not an order id: {error}")))
}

/// Which orders to list. As text, so that what can't be used is answered as every other problem is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParameters {
    /// Only orders with this status.
    status: Option<String>,
    /// How many: 1 to 200, 50 by default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// Only orders older than this one: `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<String>,
}

impl ListParameters {
    /// The page that they ask for.
    pub(crate) fn page(query: Result<Query<Self>, QueryRejection>) -> Result<store::Page, Problem> {
        let Query(asked) = query.map_err(|rejected| Problem::bad_request("query", rejected.body_text()))?;
        asked.check()
    }

    fn check(self) -> Result<store::Page, Problem> {
        let status = self.status.map(|name| status(&name)).transpose()?;
        let before = self.after.map(|id| cursor(&id)).transpose()?;
        let limit = self.limit.map(|limit| number(&limit)).transpose()?.unwrap_or(LIMIT_DEFAULT);
        Ok(store::Page { status, before, limit })
    }
}

fn status(name: &str) -> Result<Status, Problem> {
    Status::named(name).ok_or_else(|| {
        let known = Status::ALL.map(Status::name).join(", ");
        Problem::bad_request("status", format!("{name:?} is not a status; there are {known}"))
    })
}

fn cursor(id: &str) -> Result<OrderId, Problem> {
    id.parse().map_err(|error| Problem::bad_request("after", format!("{id:?} is not an order id: {error}")))
}

fn number(limit: &str) -> Result<i64, Problem> {
    let number = limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    number.ok_or_else(|| Problem::bad_request("limit", format!("{limit:?} is not a number from 1 to {LIMIT_MAX}")))
}
