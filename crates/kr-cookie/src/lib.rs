#![doc = include_str!("../README.md")]

mod builder;
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
