//! 14.2.1, and 3.3.4: a token is told in one place only, the `Set-Cookie` header that hands it out.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine};

use crate::{client::Site, everywhere::Walk, support::secret};

/// At the highest level everything under the server logs too.
#[test]
fn no_answer_no_header_no_metric_and_no_log_tells_a_token() {
    for format in ["text", "json"] {
        let site = Site::start_with(&[("RUST_LOG", "trace")], &["--log-format", format]);
        let walk = Walk::through(&site);
        let ended = site.server.stop();
        let mut told = vec![(
            "the log".to_owned(),
            (ended.stdout + &ended.stderr).into_bytes(),
        )];
        let mut statuses = BTreeSet::new();
        for (request, answer) in walk.answers {
            let mut answer_text = answer.body;
            for (name, value) in answer.headers {
                // The place where a token belongs, and nothing else of that header. The page's own
                // cookie keeps one that a sign-in or a sign-out has just made worthless.
                let cookie = ["Kr.Session=", "Kr.Old="]
                    .into_iter()
                    .find_map(|cookie| value.strip_prefix(cookie));
                let value = match cookie {
                    Some(cookie) if name == "set-cookie" => {
                        cookie.split_once(';').unwrap().1.to_owned()
                    }
                    _ => value,
                };
                answer_text.extend(format!("{name}: {value}\n").bytes());
            }
            statuses.insert(answer.status);
            told.push((request, answer_text));
        }
        assert!(
            statuses.is_superset(&[200, 303, 400, 401, 404, 405, 409].into()),
            "{statuses:?}"
        );
        let (_, log) = &told[0];
        assert!(
            str::from_utf8(log).unwrap().contains("/session/whoami"),
            "requests are logged"
        );
        assert!(walk.tokens.len() > 15, "{}", walk.tokens.len());
        for token in &walk.tokens {
            for (place, text) in &told {
                assert_eq!(secret::found_in(token, text), None, "{place}");
            }
        }
    }
}

/// Else nothing could be found because it is looked for in the wrong way.
#[test]
fn a_token_is_found_however_it_is_written() {
    let bytes: Vec<u8> = (7..55).map(|number: u8| number.wrapping_mul(77)).collect();
    let token = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
    let secret = &bytes[16..];
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        format!("Cookie: Kr.Session={token}"),
        format!("{:?}", format!("a {token} b")),
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode([b"x", secret].concat()),
        BASE64_STANDARD_NO_PAD.encode(&bytes),
        hex.to_uppercase(),
        hex,
        format!("{secret:?}"),
        secret.escape_ascii().to_string(),
    ] {
        assert!(
            secret::found_in(&token, text.as_bytes()).is_some(),
            "{text}"
        );
    }
    let id = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..16]);
    assert_eq!(
        secret::found_in(&token, id.as_bytes()),
        None,
        "an id is no secret"
    );
}
