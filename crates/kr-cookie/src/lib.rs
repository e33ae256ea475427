#![doc = include_str!("../README.md")]
//!
//! ## Sources
//!
//! Rules name the section that they come from. "RFC 6265bis" is draft-ietf-httpbis-rfc6265bis-22,
//! the successor of RFC 6265 that browsers already follow.

mod builder;
mod domain;
mod error;
mod parse;
mod policy;
mod prefix;
mod syntax;
mod template;

pub use builder::CookieBuilder;
pub use error::CookieError;
pub use parse::{Cookie, Cookies, Parse, cookies, parse};
pub use policy::{SameSite, SecurePolicy};
pub use syntax::LIFETIME_LIMIT;
pub use template::CookieTemplate;
