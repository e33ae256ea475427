//! Checks the Domain attribute: it has to be a host that a browser can be at.
//!
//! A browser compares the attribute with the host of the request's URL (RFC 6265bis, sections 5.1.3
//! and 5.6.3) and ignores the whole cookie if it doesn't match. So a domain that no URL can have as
//! its host never works.

use std::net::Ipv4Addr;

use crate::{CookieError, syntax};

const NAME_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

pub(crate) fn check(domain: &str) -> Result<(), CookieError> {
    // Browsers strip the dot, and would take an empty domain for none: a cookie of one host instead
    // of many.
    if matches!(domain, "" | ".") {
        return Err(CookieError::DomainEmpty);
    }
    if let Some((position, character)) = syntax::find_illegal(domain, is_host_octet) {
        return Err(CookieError::DomainCharacter {
            character,
            position,
        });
    }
    let name = domain.strip_prefix('.').unwrap_or(domain);
    let mut position = domain.len() - name.len();
    for label in name.split('.') {
        check_label(label, position)?;
        position += label.len() + 1;
    }
    if name.len() > NAME_LIMIT {
        return Err(CookieError::DomainTooLong { length: name.len() });
    }
    if ends_in_number(name) && domain.parse::<Ipv4Addr>().is_err() {
        return Err(CookieError::DomainNumber);
    }
    Ok(())
}

/// The characters of a host name, with the underscore that DNS allows.
fn is_host_octet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn check_label(label: &str, position: usize) -> Result<(), CookieError> {
    if label.is_empty() {
        return Err(CookieError::DomainEmptyLabel { position });
    }
    if label.len() > LABEL_LIMIT {
        return Err(CookieError::DomainLabelTooLong {
            length: label.len(),
        });
    }
    match strip_ascii_prefix(label, "xn--") {
        Some(encoded) if !is_punycode(encoded) => Err(CookieError::DomainPunycode {
            label: label.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The "ends in a number" checker of the URL standard: such a host is an IPv4 address, or none.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    match strip_ascii_prefix(last, "0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn strip_ascii_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether Punycode (RFC 3492, section 6.2) can decode this into a label that is not all ASCII.
fn is_punycode(encoded: &str) -> bool {
    let (basic, digits) = match encoded.rsplit_once('-') {
        Some((basic, digits)) if !basic.is_empty() => (basic, digits),
        _ => ("", encoded),
    };
    !digits.is_empty() && decode_digits(basic.len(), digits.as_bytes()).is_some()
}

/// Decodes the characters beyond ASCII and throws them away. `None` if they are no characters.
fn decode_digits(basic: usize, mut digits: &[u8]) -> Option<()> {
    const BASE: u32 = 36;
    let mut length = u32::try_from(basic).ok()?;
    let (mut character, mut index, mut bias) = (128_u32, 0_u32, 72_u32);
    while !digits.is_empty() {
        let start = index;
        let (mut weight, mut threshold_base) = (1_u32, BASE);
        loop {
            let (&byte, rest) = digits.split_first()?;
            digits = rest;
            let digit = match byte.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                number @ b'0'..=b'9' => u32::from(number - b'0') + 26,
                _ => return None,
            };
            index = index.checked_add(digit.checked_mul(weight)?)?;
            let threshold = threshold_base.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            threshold_base += BASE;
        }
        length += 1;
        bias = adapt(index - start, length, start == 0);
        character = character.checked_add(index / length)?;
        char::from_u32(character)?;
        index = index % length + 1;
    }
    Some(())
}

/// RFC 3492, section 6.1.
fn adapt(delta: u32, length: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut bias = 0;
    while delta > 455 {
        delta /= 35;
        bias += 36;
    }
    bias + 36 * delta / (delta + 38)
}
