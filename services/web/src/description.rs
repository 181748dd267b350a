//! What an API's description says of answers that any of its operations may give.

use axum::http::StatusCode;
use utoipa::openapi::{
    Content, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::Operation,
    schema::{ObjectBuilder, Type},
};

use crate::PROBLEM_JSON;

/// Says in an API's description that each of its operations may answer with a [`Problem`](crate::Problem) of this status, and
/// why: those whose path is `meant`. What an operation says of that status itself stays. Who is told to come back later is
/// told when, by the header `Retry-After`.
pub fn may_answer(api: &mut OpenApi, status: StatusCode, why: &str, meant: impl Fn(&str) -> bool) {
    let comes_back = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    for (_, item) in api.paths.paths.iter_mut().filter(|(path, _)| meant(path)) {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            let response = response(operation, status, why);
            if comes_back && let RefOr::T(response) = response {
                response.headers.entry("Retry-After".to_owned()).or_insert_with(|| {
                    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
                    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("In so many seconds."));
                    header.build().into()
                });
            }
        }
    }
}

fn response<'o>(operation: &'o mut Operation, status: StatusCode, why: &str) -> &'o mut RefOr<Response> {
    operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(|| {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        ResponseBuilder::new().description(why).content(PROBLEM_JSON, problem).build().into()
    })
}
