//! Says which option a setting that the session layer refuses comes from.

use kr_cookie::CookieError;
use tower_kr_session::ConfigError;

use crate::{args::Args, error::StartError};

pub(crate) fn wrong(error: ConfigError, args: &Args) -> StartError {
    match error {
        ConfigError::Cookie(error) => wrong_cookie(&error, args.name("--secure-policy")),
        ConfigError::IdleTimeout { .. } => {
            let [idle, absolute] = [args.idle_timeout(), args.absolute_timeout()];
            let longest = args.name("--absolute-timeout");
            let why = format!(
                "{idle} is longer than {longest} {absolute}, which ends a session even if it \
                 is in use; set {longest} too, up to 400d"
            );
            StartError::option("--idle-timeout", why)
        }
        ConfigError::Timeout { name, .. } => {
            let (option, time) = match name {
                "idle_timeout" => ("--idle-timeout", args.idle_timeout()),
                _ => ("--absolute-timeout", args.absolute_timeout()),
            };
            StartError::option(option, format!("{time} is too long; set 400d at most"))
        }
        ConfigError::DeviceCookie => {
            let binding = args.name("--device-binding");
            let why = format!(
                "none goes without {binding}, which needs a Secure cookie; set always or \
                 same-as-request"
            );
            StartError::option("--secure-policy", why)
        }
        error => match (&error, &args.device_binding) {
            (ConfigError::DeviceLifetime { .. }, Some(lifetime)) => {
                let why = format!("{lifetime} is out of bounds; set a time from 2s to 24h");
                StartError::option("--device-binding", why)
            }
            _ => StartError::Sessions(error),
        },
    }
}

fn wrong_cookie(error: &CookieError, policy: &str) -> StartError {
    match error {
        CookieError::SameSiteNoneWithoutSecure => {
            let why =
                format!("none needs {policy} always: browsers refuse such a cookie without Secure");
            StartError::option("--same-site", why)
        }
        CookieError::PrefixWithoutSecure { prefix } => {
            let why = format!("starts with {prefix}, which needs {policy} always");
            StartError::option("--cookie-name", why)
        }
        // The rest is about the name, the only other part of it that an option sets.
        error => {
            let why = error.to_string();
            let why = why.strip_prefix("cookie name ").unwrap_or(&why);
            StartError::option("--cookie-name", why)
        }
    }
}
