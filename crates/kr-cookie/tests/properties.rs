//! Properties over arbitrary input: a browser keeps what the builder accepts, and the reader
//! survives anything.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};
use kr_cookie::{CookieBuilder, SameSite, SecurePolicy, cookies, parse};
use proptest::prelude::*;
use time::OffsetDateTime;

/// Everything that a builder was told, beside the builder, to compare the rendered header with.
#[derive(Clone, Debug)]
struct Described {
    name: String,
    domain: Option<String>,
    path: String,
    http_only: bool,
    same_site: Option<SameSite>,
    secure_policy: SecurePolicy,
    max_age: Option<Duration>,
    expires: Option<Duration>,
    partitioned: bool,
    extensions: Vec<String>,
}

impl Described {
    fn builder(&self) -> CookieBuilder {
        let mut builder = CookieBuilder::new(&self.name)
            .path(&self.path)
            .http_only(self.http_only)
            .same_site(self.same_site)
            .secure_policy(self.secure_policy)
            .max_age(self.max_age)
            .expires(self.expires)
            .partitioned(self.partitioned);
        if let Some(domain) = &self.domain {
            builder = builder.domain(domain);
        }
        for extension in &self.extensions {
            builder = builder.extension(extension);
        }
        builder
    }
}

/// Mostly right, sometimes anything: so that both verdicts occur, and every accepted oddity is
/// looked at.
fn described() -> impl Strategy<Value = Described> {
    let name = prop_oneof![
        6 => "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}",
        3 => "__(Secure|Host|Http|Host-Http|host|HTTP)-[a-z]{0,3}",
        1 => any::<String>(),
    ];
    let domain = prop_oneof![8 => "\\.?[a-z0-9-]{1,8}(\\.[a-z]{2,3}){0,2}", 1 => any::<String>()];
    let path = prop_oneof![
        4 => Just("/".to_owned()),
        4 => "/[ -~]{0,8}",
        1 => any::<String>(),
    ];
    let extension = prop_oneof![
        6 => "[A-Z][a-z]{1,6}(=[ -:<-~]{0,6})?",
        1 => "(Secure|domain|PATH|Max-Age)(=[a-z]{0,3})?",
        1 => any::<String>(),
    ];
    let same_site = prop_oneof![
        Just(None),
        Just(Some(SameSite::Lax)),
        Just(Some(SameSite::Strict)),
        Just(Some(SameSite::None)),
    ];
    let secure_policy = prop_oneof![
        2 => Just(SecurePolicy::Always),
        1 => Just(SecurePolicy::SameAsRequest),
        1 => Just(SecurePolicy::None),
    ];
    let age = || {
        let milliseconds = prop_oneof![8 => 1..34_560_000_000u64, 1 => any::<u64>()];
        prop::option::of(milliseconds.prop_map(Duration::from_millis))
    };
    (
        name,
        prop::option::weighted(0.3, domain),
        path,
        prop::bool::weighted(0.8),
        same_site,
        secure_policy,
        age(),
        age(),
        prop::bool::weighted(0.2),
        prop::collection::vec(extension, 0..3),
    )
        .prop_map(
            |(
                name,
                domain,
                path,
                http_only,
                same_site,
                secure_policy,
                max_age,
                expires,
                partitioned,
                extensions,
            )| Described {
                name,
                domain,
                path,
                http_only,
                same_site,
                secure_policy,
                max_age,
                expires,
                partitioned,
                extensions,
            },
        )
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[!#-+--:<-\\[\\]-~]{0,40}", 1 => any::<String>()]
}

/// A Set-Cookie header as a browser takes it apart: RFC 6265bis, section 5.6, but with no lenience
/// at all.
#[derive(Debug, Default, PartialEq)]
struct Received {
    name: String,
    value: String,
    domain: Option<String>,
    path: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: Option<String>,
    max_age: Option<u64>,
    expires: Option<i64>,
    partitioned: bool,
    extensions: Vec<String>,
}

impl Received {
    fn read(header: &str) -> Self {
        assert!(header.bytes().all(|byte| matches!(byte, 0x20..=0x7E)));
        let mut parts = header.split(';');
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        assert!(name.len() + value.len() <= 4096);
        let mut received = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            ..Self::default()
        };
        assert_eq!((name, value), (name.trim(), value.trim()));

        for part in parts {
            let attribute = part.strip_prefix(' ').unwrap();
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (name.trim(), value.trim());
            assert!(value.len() <= 1024);
            let text = || value.to_owned();
            match name.to_ascii_lowercase().as_str() {
                "domain" => set(&mut received.domain, text()),
                "path" => set(&mut received.path, text()),
                "samesite" => set(&mut received.same_site, text()),
                "max-age" => set(&mut received.max_age, value.parse().unwrap()),
                "expires" => set(&mut received.expires, read_date(value)),
                "secure" => assert!(!std::mem::replace(&mut received.secure, true)),
                "httponly" => assert!(!std::mem::replace(&mut received.http_only, true)),
                "partitioned" => assert!(!std::mem::replace(&mut received.partitioned, true)),
                _ => received.extensions.push(attribute.to_owned()),
            }
        }
        received
    }

    /// Whether a browser stores it: RFC 6265bis, sections 5.4 and 5.7, and the drafts for the newer
    /// attributes.
    fn is_kept(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let starts = |prefix| name.starts_with(prefix);
        let needs_secure = self.same_site.as_deref() == Some("None")
            || self.partitioned
            || starts("__secure-")
            || starts("__host-")
            || starts("__http-");
        let needs_http_only = starts("__http-") || starts("__host-http-");
        let is_host_only = self.domain.is_none() && self.path.as_deref() == Some("/");
        (self.secure || !needs_secure)
            && (self.http_only || !needs_http_only)
            && (is_host_only || !starts("__host-"))
    }
}

fn set<T>(attribute: &mut Option<T>, value: T) {
    assert!(
        attribute.replace(value).is_none(),
        "an attribute came twice"
    );
}

/// `IMF-fixdate` to Unix seconds, by counting the days one year and one month at a time.
fn read_date(text: &str) -> i64 {
    const MONTHS: [(&str, i64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    assert_eq!((text.len(), &text[3..5], &text[25..]), (29, ", ", " GMT"));
    let year = number(12..16);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut days: i64 = (1970..year)
        .map(|year| 365 + i64::from(is_leap(year)))
        .sum();
    let month = MONTHS
        .iter()
        .position(|(name, _)| *name == &text[8..11])
        .unwrap();
    days += MONTHS[..month].iter().map(|(_, days)| days).sum::<i64>();
    days += i64::from(month > 1 && is_leap(year)) + number(5..7) - 1;
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    assert_eq!(&text[..3], weekdays[usize::try_from(days % 7).unwrap()]);
    days * 86_400 + number(17..19) * 3_600 + number(20..22) * 60 + number(23..25)
}

fn seconds(age: Duration) -> u64 {
    u64::try_from(age.as_nanos().div_ceil(1_000_000_000)).unwrap()
}

proptest! {
    #[test]
    fn a_browser_keeps_and_reads_back_what_is_accepted(
        described in described(),
        value in value(),
        https: bool,
        now in 0..253_000_000_000i64,
    ) {
        let Ok(template) = described.builder().build() else { return Ok(()) };
        let moment = OffsetDateTime::from_unix_timestamp(now).unwrap();
        let Ok(header) = template.render(&value, https, moment) else { return Ok(()) };

        let received = Received::read(header.to_str().unwrap());
        prop_assert!(received.is_kept());
        prop_assert_eq!(received, Received {
            name: described.name,
            value,
            domain: described.domain,
            path: Some(described.path),
            secure: template.is_secure(https),
            http_only: described.http_only,
            same_site: described.same_site.map(|same_site| format!("{same_site:?}")),
            max_age: described.max_age.map(seconds),
            expires: described.expires.map(|age| now + i64::try_from(seconds(age)).unwrap()),
            partitioned: described.partitioned,
            extensions: described.extensions,
        });
    }

    /// Else the property above could hold because nothing is ever accepted.
    #[test]
    fn every_token_and_every_cookie_octet_is_accepted(
        name in "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,64}",
        value in "[!#-+--:<-\\[\\]-~]{0,64}",
    ) {
        let template = CookieBuilder::new(name).build().unwrap();
        prop_assert!(template.render(&value, true, OffsetDateTime::UNIX_EPOCH).is_ok());
    }

    /// The browser finds the cookie that it shall delete, and keeps all that goes with it.
    #[test]
    fn a_removal_differs_from_the_cookie_in_value_and_lifetime_alone(
        described in described(),
        https: bool,
    ) {
        let Ok(template) = described.builder().build() else { return Ok(()) };
        let Ok(header) = template.render("", https, OffsetDateTime::UNIX_EPOCH) else { return Ok(()) };
        let rendered = Received::read(header.to_str().unwrap());
        let removal = Received::read(template.removal(https).to_str().unwrap());
        prop_assert!(removal.is_kept());
        prop_assert_eq!(removal, Received { max_age: Some(0), expires: Some(0), ..rendered });
    }

    #[test]
    fn a_refusal_never_tells_the_value(value in "[A-Z]{8,20}[\", ;\\\\\\r\\nü][A-Z]{8,20}") {
        let template = CookieBuilder::new("id").build().unwrap();
        let error = template.render(&value, true, OffsetDateTime::UNIX_EPOCH).unwrap_err();
        let told = format!("{error} {error:?}");
        prop_assert!(!told.contains(&value[..8]));
        prop_assert!(!told.contains(&value[value.len() - 8..]));
    }

    #[test]
    fn a_rendered_cookie_is_found_among_junk_and_in_any_header(
        name in "[a-zA-Z0-9_.-]{1,12}",
        value in "[!#-+--:<-\\[\\]-~]{0,40}",
        junk in prop::collection::vec("[ -~]{0,12}", 0..4),
        before in 0..4usize,
        same_header: bool,
    ) {
        let template = CookieBuilder::new(&name).build().unwrap();
        let set_cookie = template.render(&value, true, OffsetDateTime::UNIX_EPOCH).unwrap();
        let (pair, _) = set_cookie.to_str().unwrap().split_once(';').unwrap();

        let mut parts: Vec<&str> = junk.iter().map(String::as_str).collect();
        parts.insert(before.min(parts.len()), pair);
        let mut headers = HeaderMap::new();
        if same_header {
            headers.append(COOKIE, HeaderValue::try_from(parts.join("; ")).unwrap());
        } else {
            for part in &parts {
                headers.append(COOKIE, HeaderValue::try_from(*part).unwrap());
            }
        }
        let found = cookies(&headers)
            .any(|cookie| cookie.name == name.as_bytes() && cookie.value == value.as_bytes());
        prop_assert!(found);
    }

    #[test]
    fn reading_never_panics_and_agrees_with_the_plain_definition(header in bytes()) {
        let expected: Vec<(&[u8], &[u8])> = header
            .split(|&byte| byte == b';')
            .filter_map(|pair| {
                let mut parts = pair.splitn(2, |&byte| byte == b'=');
                Some((strip(parts.next()?), strip(parts.next()?)))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let read: Vec<(&[u8], &[u8])> =
            parse(&header).map(|cookie| (cookie.name, cookie.value)).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn every_slice_lies_inside_the_header(header in bytes()) {
        let whole = header.as_ptr_range();
        for cookie in parse(&header) {
            for slice in [cookie.name, cookie.value, cookie.unquoted()] {
                let part = slice.as_ptr_range();
                prop_assert!(whole.start <= part.start && part.end <= whole.end);
            }
        }
    }
}

/// Any bytes, and bytes that mean something to the reader more often than chance would have it.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(b"ab=; \t\"\xFF\0".to_vec());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(telling, 0..80),
    ]
}

fn strip(bytes: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| !b" \t".contains(byte);
    let Some(start) = bytes.iter().position(is_kept) else {
        return b"";
    };
    let end = bytes.iter().rposition(is_kept).unwrap();
    &bytes[start..=end]
}
