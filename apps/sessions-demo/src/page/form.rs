//! Reads the forms of the page.

use std::error::Error;

use axum::extract::{FromRequest, RawForm, Request, rejection::RawFormRejection};
use http::StatusCode;
use tower_http::timeout::TimeoutError;
use tower_kr_session::SessionError;

use super::{problem::Problem, refused::Refused};
use crate::{failure::Failure, query::Query};

/// The encoded fields of a form.
pub(super) struct Form(String);

/// A field of a form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name in the form.
    pub(super) name: &'static str,
    /// Its id on the page.
    pub(super) id: &'static str,
    /// What to write into it, for those who wrote nothing.
    pub(super) missing: &'static str,
}

pub(super) const USER: Field = Field {
    name: "user",
    id: "name",
    missing: "Enter a name to sign in with",
};

pub(super) const KEY: Field = Field {
    name: "key",
    id: "set-key",
    missing: "Enter a key",
};

pub(super) const VALUE: Field = Field {
    name: "value",
    id: "set-value",
    missing: "Enter a value",
};

/// The session to end; the line below the list tells what is wrong.
pub(super) const SESSION: Field = Field {
    name: "id",
    id: "revoked",
    missing: "Which session is to end?",
};

impl Form {
    /// Returns a field that isn't blank. A form is encoded like a query, and is read as strictly.
    pub(super) fn field(&self, field: Field) -> Result<String, Problem> {
        let value = Query(&self.0).get(field.name).map_err(|_| {
            Failure::bad_request("The form has a field twice, or one that is not valid UTF-8")
        })?;
        value.ok_or_else(|| self.refused(StatusCode::BAD_REQUEST, field, field.missing))
    }

    /// Refuses the form for what is in this field.
    pub(super) fn refused(
        &self,
        status: StatusCode,
        field: Field,
        message: impl Into<String>,
    ) -> Problem {
        let input = [USER, KEY, VALUE].into_iter().filter_map(|field| {
            let value = Query(&self.0).get(field.name).ok().flatten();
            Some((field.id, value?))
        });
        Problem::Form(Refused {
            status,
            field: field.id,
            message: message.into(),
            input: input.collect(),
        })
    }

    /// Refuses the form for what is in this field, if that is why the call failed.
    pub(super) fn unfit(&self, field: Field, failure: impl Into<Failure>) -> Problem {
        match failure.into() {
            Failure::Request(status, problem) => self.refused(status, field, problem.message()),
            Failure::Session(error @ SessionError::TooLarge { size, limit }) => {
                let [size, limit] = [size, limit].map(|bytes| bytes.div_ceil(1024));
                let message = format!("The session would hold {size} KiB of {limit} KiB");
                self.refused(error.status(), field, message)
            }
            Failure::Session(
                error @ (SessionError::InvalidKey(_) | SessionError::InvalidOwner(_)),
            ) => self.refused(error.status(), field, error.to_string()),
            failure => failure.into(),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawForm(form) = RawForm::from_request(request, state)
            .await
            .map_err(|rejection| failure(&rejection))?;
        let form = String::from_utf8(form.into());
        Ok(Self(form.map_err(|_| {
            Failure::bad_request("The form is not valid UTF-8")
        })?))
    }
}

fn failure(rejection: &RawFormRejection) -> Failure {
    let mut source = Some(rejection as &dyn Error);
    while let Some(error) = source {
        if error.is::<TimeoutError>() {
            return Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                "The form did not arrive in time",
            );
        }
        source = error.source();
    }
    let message = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "The form is larger than the 2 MiB that this page takes",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "The form has to be sent as application/x-www-form-urlencoded"
        }
        _ => "The form could not be read",
    };
    Failure::new(rejection.status(), message)
}
