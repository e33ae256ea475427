//! Reads the forms of the page.

use std::error::Error;

use axum::extract::{FromRequest, RawForm, Request, rejection::RawFormRejection};
use http::StatusCode;
use tower_http::timeout::TimeoutError;

use super::problem::Problem;
use crate::{failure::Failure, query::Query};

/// The encoded fields of a form.
pub(super) struct Form(String);

impl Form {
    /// Returns a field, or the problem `missing`. A form is encoded like a query, and is read as
    /// strictly.
    pub(super) fn field(&self, name: &str, missing: &'static str) -> Result<String, Problem> {
        let value = Query(&self.0).get(name)?;
        Ok(value.ok_or_else(|| Failure::bad_request(missing))?)
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawForm(form) = RawForm::from_request(request, state)
            .await
            .map_err(failure)?;
        let form = String::from_utf8(form.into());
        Ok(Self(form.map_err(|_| {
            Failure::bad_request("The form is not valid UTF-8")
        })?))
    }
}

fn failure(rejection: RawFormRejection) -> Failure {
    let mut source = Some(&rejection as &dyn Error);
    while let Some(error) = source {
        if error.is::<TimeoutError>() {
            return Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                "The form did not arrive in time",
            );
        }
        source = error.source();
    }
    Failure::new(rejection.status(), rejection.body_text())
}
