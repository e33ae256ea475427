//! The address by which the browser reaches the server, for the commands that the page prints.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};

/// A host and perhaps a port. It holds nothing that means something to a shell.
pub(super) struct Base(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let authority = parts.uri.authority().map(|authority| authority.as_str());
        let host = parts.headers.get(header::HOST);
        let host = authority.or_else(|| host.and_then(|host| host.to_str().ok()));
        let plain = |host: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            !host.is_empty() && !host.starts_with('-') && host.bytes().all(is_plain)
        };
        let host = host.filter(plain).unwrap_or("127.0.0.1:8080");
        Ok(Self(host.to_owned()))
    }
}
