//! Grammars and limits of the parts of a cookie.

use std::time::Duration;

use crate::CookieError;

/// The longest lifetime of a cookie: 400 days.
///
/// Browsers cut longer ones to this (RFC 6265bis, section 5.5).
pub const LIFETIME_LIMIT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Browsers ignore a cookie whose name and value together are longer (RFC 6265bis, section 5.6).
const NAME_AND_VALUE_LIMIT: usize = 4096;

/// Browsers ignore an attribute whose value is longer (RFC 6265bis, section 5.6).
const ATTRIBUTE_LIMIT: usize = 1024;

pub(crate) fn check_size(name: &str, value: &str) -> Result<(), CookieError> {
    let length = name.len() + value.len();
    if length > NAME_AND_VALUE_LIMIT {
        return Err(CookieError::TooLarge { length });
    }
    Ok(())
}

pub(crate) fn check_attribute_size(
    attribute: &'static str,
    value: &str,
) -> Result<(), CookieError> {
    let length = value.len();
    if length > ATTRIBUTE_LIMIT {
        return Err(CookieError::AttributeTooLong { attribute, length });
    }
    Ok(())
}

pub(crate) fn check_lifetime(attribute: &'static str, age: Duration) -> Result<(), CookieError> {
    if age.is_zero() {
        return Err(CookieError::ZeroLifetime { attribute });
    }
    if age > LIFETIME_LIMIT {
        return Err(CookieError::LifetimeTooLong { attribute, age });
    }
    Ok(())
}

/// Finds the first character that isn't allowed, and its position in bytes.
pub(crate) fn find_illegal(text: &str, is_allowed: fn(u8) -> bool) -> Option<(usize, char)> {
    // All grammars here allow ASCII alone, so the first refused byte is always the first byte of a
    // character.
    let position = text.bytes().position(|byte| !is_allowed(byte))?;
    let character = text[position..].chars().next()?;
    Some((position, character))
}

/// `token` of RFC 9110, section 5.6.2: the characters of a cookie's name.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `cookie-octet` of RFC 6265bis, section 4.1.1: visible ASCII without quote, comma, semicolon and
/// backslash.
pub(crate) fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() & (byte != b'"') & (byte != b',') & (byte != b';') & (byte != b'\\')
}

/// `av-octet` of RFC 6265bis, section 4.1.1: ASCII without control characters and semicolon.
pub(crate) fn is_attribute_octet(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7E) && byte != b';'
}

/// An `av-octet` that can occur in the path of a request, so no space.
pub(crate) fn is_path_octet(byte: u8) -> bool {
    byte != b' ' && is_attribute_octet(byte)
}
