//! What must stand nowhere: the secret of a token, however it is written.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine};

/// A form of the token's secret that is in `text`. The 16 bytes of id in front of the 32 bytes of
/// secret may be told.
pub(crate) fn found_in(token: &str, text: &[u8]) -> Option<String> {
    let holds = |form: &[u8]| text.windows(form.len()).any(|part| part == form);
    forms(token).into_iter().find(|form| holds(form.as_bytes()))
}

fn forms(token: &str) -> Vec<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    let secret = <[u8; 32]>::try_from(&bytes[16..]).unwrap();
    let joined = |separator: &str, write: fn(&u8) -> String| {
        let digits: Vec<String> = secret.iter().map(write).collect();
        digits.join(separator)
    };
    let mut forms = vec![
        joined("", |byte| format!("{byte:02x}")),
        joined("", |byte| format!("{byte:02X}")),
        joined(" ", |byte| format!("{byte:02x}")),
        joined(", ", u8::to_string),
        joined(",", u8::to_string),
        joined("", |byte| format!("\\x{byte:02x}")),
        joined("", |byte| format!("%{byte:02X}")),
        secret.escape_ascii().to_string(),
    ];
    // The secret begins inside the 22nd character: those behind it are its own, at whatever
    // distance base64 starts.
    for start in 14..=16 {
        for form in [
            BASE64_URL_SAFE_NO_PAD.encode(&bytes[start..]),
            BASE64_STANDARD_NO_PAD.encode(&bytes[start..]),
        ] {
            // What hangs over at either end depends on its neighbours.
            forms.push(form[4..form.len() - 4].to_owned());
        }
    }
    forms
}
