//! What the reader makes of Cookie headers.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use http::header::{COOKIE, HeaderMap, HeaderValue};
use kr_cookie::{Cookie, cookies, parse};

fn pairs<'a>(cookies: impl Iterator<Item = Cookie<'a>>) -> Vec<(&'a str, &'a str)> {
    cookies
        .map(|cookie| {
            let name = str::from_utf8(cookie.name).unwrap();
            let value = str::from_utf8(cookie.value).unwrap();
            (name, value)
        })
        .collect()
}

#[test]
fn one_header() {
    let table: [(&str, &[(&str, &str)]); 17] = [
        ("", &[]),
        (";", &[]),
        (" ; \t;;", &[]),
        (";;;;;;;;;;;;;;;;a=1", &[("a", "1")]),
        ("a=1", &[("a", "1")]),
        ("a=1; b=2", &[("a", "1"), ("b", "2")]),
        ("a=1;b=2;", &[("a", "1"), ("b", "2")]),
        (" a = 1 ;\tb\t=\t2\t", &[("a", "1"), ("b", "2")]),
        ("a=", &[("a", "")]),
        ("a= ", &[("a", "")]),
        ("=1", &[]),
        (" =1; b=2", &[("b", "2")]),
        ("junk; b=2; more junk", &[("b", "2")]),
        ("a=b=c==", &[("a", "b=c==")]),
        ("a=1; a=2; A=3", &[("a", "1"), ("a", "2"), ("A", "3")]),
        ("a=1 2, b=3", &[("a", "1 2, b=3")]),
        // A quote protects nothing.
        ("a=\"1; b=2\"", &[("a", "\"1"), ("b", "2\"")]),
    ];
    for (header, expected) in table {
        assert_eq!(pairs(parse(header.as_bytes())), expected, "{header:?}");
    }
}

#[test]
fn several_headers() {
    let mut headers = HeaderMap::new();
    for value in ["a=1; junk", "", "b=2", ";", "a=3"] {
        headers.append(COOKIE, HeaderValue::from_static(value));
    }
    let mut iterator = cookies(&headers);
    assert_eq!(
        pairs(iterator.by_ref()),
        [("a", "1"), ("b", "2"), ("a", "3")]
    );
    assert_eq!(iterator.next(), None);
    assert_eq!(cookies(&HeaderMap::new()).next(), None);
}

#[test]
fn bytes_beyond_ascii_are_left_alone() {
    let mut cookies = parse(b"\xFF=\xC3\xBC; \xC2\xA0a=1");
    let cookie = cookies.next().unwrap();
    assert_eq!(
        (cookie.name, cookie.value),
        (&b"\xFF"[..], &b"\xC3\xBC"[..])
    );
    // A no-break space is no white space to a cookie.
    assert_eq!(cookies.next().unwrap().name, b"\xC2\xA0a");
}

#[test]
fn one_pair_of_quotes_is_taken_away() {
    let table = [
        ("", ""),
        ("v", "v"),
        ("\"v\"", "v"),
        ("\"\"", ""),
        ("\"\"v\"\"", "\"v\""),
        // A single quote mark is not a pair.
        ("\"", "\""),
        ("\"v", "\"v"),
        ("v\"", "v\""),
        ("\" v \"", " v "),
    ];
    for (value, unquoted) in table {
        let cookie = Cookie {
            name: b"a",
            value: value.as_bytes(),
        };
        assert_eq!(cookie.unquoted(), unquoted.as_bytes(), "{value:?}");
    }
}

#[test]
fn debug_output_holds_no_value() {
    let header = HeaderValue::from_static("id=hunter2; b=hunter2");
    let headers = HeaderMap::from_iter([(COOKIE, header)]);
    assert_eq!(
        format!("{:?}", parse(b"id=hunter2; b\xFF=")),
        r#"[Cookie { name: "id", value: <7 bytes> }, Cookie { name: "b\\xff", value: <0 bytes> }]"#
    );
    assert_eq!(format!("{:?}", cookies(&headers)), "Cookies { .. }");
}
