//! What `build` and `render` refuse, and what they say about it.

use std::time::Duration;

use kr_cookie::{CookieBuilder, CookieError, LIFETIME_LIMIT, SameSite, SecurePolicy};
use time::OffsetDateTime;

fn cookie(name: &str) -> CookieBuilder {
    CookieBuilder::new(name)
}

#[test]
fn refused_cookies_name_the_part_the_position_and_the_remedy() {
    let second = Duration::from_secs(1);
    let table = [
        (
            cookie(""),
            "cookie name is empty; it needs at least one character",
        ),
        (
            cookie("a;b"),
            "cookie name has ';' at position 1; allowed are ASCII letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            cookie("a\n"),
            "cookie name has '\\n' at position 1; allowed are ASCII letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            cookie("schlüssel"),
            "cookie name has 'ü' at position 4; allowed are ASCII letters, digits and !#$%&'*+-.^_`|~",
        ),
        (
            cookie(&"n".repeat(4097)),
            "cookie name and value are 4097 bytes together; browsers ignore a cookie over 4096",
        ),
        (
            cookie("a").domain(""),
            "cookie domain is empty; leave it out for a cookie of this host alone",
        ),
        (
            cookie("a").domain("."),
            "cookie domain is empty; leave it out for a cookie of this host alone",
        ),
        (
            cookie("a").domain("example.com; Secure"),
            "cookie domain has ';' at position 11; it must be a host name alone, such as example.com, \
             with international names in their xn-- form",
        ),
        (
            cookie("a").domain("https://example.com"),
            "cookie domain has ':' at position 5; it must be a host name alone, such as example.com, \
             with international names in their xn-- form",
        ),
        (
            cookie("a").domain("app..test"),
            "cookie domain has an empty label at position 4; write it as in example.com, without a dot \
             at the end and with one at most at the start",
        ),
        (
            cookie("a").domain(format!("{}.test", "d".repeat(64))),
            "cookie domain has a label of 64 bytes; DNS allows 63",
        ),
        (
            cookie("a").domain(["d"; 4].map(|d| d.repeat(63)).join(".")),
            "cookie domain is 255 bytes long; DNS allows 253",
        ),
        (
            cookie("a").domain("app.7"),
            "cookie domain ends in a number, which makes it an IPv4 address to browsers; \
             write one as in 192.0.2.1",
        ),
        (
            cookie("a").domain("app.xn--.test"),
            "cookie domain has the label \"xn--\", which is not Punycode; \
             write the international name in its ASCII form, as in xn--bcher-kva.example",
        ),
        (
            cookie("a").path(""),
            "cookie path does not start with '/'; it must be absolute, such as /app",
        ),
        (
            cookie("a").path("app"),
            "cookie path does not start with '/'; it must be absolute, such as /app",
        ),
        (
            cookie("a").path("/app;x"),
            "cookie path has ';' at position 4; allowed is visible ASCII except semicolon: \
             percent-encode the rest, as in a URL",
        ),
        (
            cookie("a").path("/app\r\n"),
            "cookie path has '\\r' at position 4; allowed is visible ASCII except semicolon: \
             percent-encode the rest, as in a URL",
        ),
        (
            cookie("a").path("/app "),
            "cookie path has ' ' at position 4; allowed is visible ASCII except semicolon: \
             percent-encode the rest, as in a URL",
        ),
        (
            cookie("a").path(format!("/{}", "p".repeat(1024))),
            "cookie Path is 1025 bytes long; browsers ignore an attribute whose value is over 1024",
        ),
        (
            cookie("a").extension(""),
            "cookie extension is empty; it must be a name, or a name=value, such as Priority=High",
        ),
        (
            cookie("a").extension(" =High"),
            "cookie extension is empty; it must be a name, or a name=value, such as Priority=High",
        ),
        (
            cookie("a").extension("Foo").extension("Priority=High; Bar"),
            "cookie extension \"Priority=High; Bar\" has ';' at position 13; allowed is printable ASCII \
             except semicolon: several extensions take several calls",
        ),
        (
            cookie("a").extension("Foo=\x7F"),
            "cookie extension \"Foo=\\u{7f}\" has '\\u{7f}' at position 4; allowed is printable ASCII \
             except semicolon: several extensions take several calls",
        ),
        (
            cookie("a").extension("\x1F"),
            "cookie extension \"\\u{1f}\" has '\\u{1f}' at position 0; allowed is printable ASCII \
             except semicolon: several extensions take several calls",
        ),
        (
            cookie("a").extension(format!("Foo={}", "v".repeat(1025))),
            "cookie extension is 1025 bytes long; browsers ignore an attribute whose value is over 1024",
        ),
        (
            cookie("a").max_age(Duration::ZERO),
            "cookie Max-Age is zero, which deletes the cookie; use CookieTemplate::removal for that",
        ),
        (
            cookie("a").expires(Duration::ZERO),
            "cookie Expires is zero, which deletes the cookie; use CookieTemplate::removal for that",
        ),
        (
            cookie("a").max_age(LIFETIME_LIMIT + second),
            "cookie Max-Age is 34560001s; browsers cut it to 400 days (34560000s)",
        ),
        (
            cookie("a").expires(LIFETIME_LIMIT + Duration::from_millis(1)),
            "cookie Expires is 34560000.001s; browsers cut it to 400 days (34560000s)",
        ),
        (
            cookie("a").max_age(Duration::MAX),
            "cookie Max-Age is 18446744073709551615.999999999s; browsers cut it to 400 days (34560000s)",
        ),
    ];
    for (builder, message) in table {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
}

#[test]
fn limits_themselves_are_accepted() {
    let accepted = [
        cookie(&"n".repeat(4096)),
        cookie("!#$%&'*+-.^_`|~09azAZ"),
        cookie("a").domain(["d"; 4].map(|d| d.repeat(63)).join(".").split_off(2)),
        cookie("a").domain(".my_host.xn--bcher-kva.example"),
        cookie("a").domain("192.0.2.1"),
        cookie("a").domain("localhost"),
        cookie("a").path(format!("/{}", "p".repeat(1023))),
        cookie("a").path("/a%20b/,\"\\"),
        cookie("a").extension(format!("Foo={}", "v".repeat(1024))),
        cookie("a").extension("SecureFoo=a b = c"),
        cookie("a").max_age(LIFETIME_LIMIT).expires(LIFETIME_LIMIT),
        cookie("a").max_age(Duration::from_nanos(1)),
        cookie("a").same_site(SameSite::None).partitioned(true),
    ];
    for builder in accepted {
        assert!(builder.build().is_ok(), "{:?}", builder.build());
    }
}

/// RFC 6265bis, section 5.6.3, takes one leading dot away. What is left has to be a host that the
/// URL standard can give a URL.
#[test]
fn a_domain_that_no_host_can_have_is_refused() {
    let empty_label = |position| CookieError::DomainEmptyLabel { position };
    let punycode = |label: &str| CookieError::DomainPunycode {
        label: label.to_owned(),
    };
    let table = [
        ("app.test.", empty_label(9)),
        (".app.test.", empty_label(10)),
        ("..app.test", empty_label(1)),
        ("app..test", empty_label(4)),
        ("..", empty_label(1)),
        ("app.test..", empty_label(9)),
        // A browser writes the address of these hosts in another way, or there are no such hosts.
        ("127.1", CookieError::DomainNumber),
        ("2130706433", CookieError::DomainNumber),
        ("127.0.0.01", CookieError::DomainNumber),
        ("127.0.0.0x1", CookieError::DomainNumber),
        ("app.0x", CookieError::DomainNumber),
        ("app.0XfF", CookieError::DomainNumber),
        ("1.2.3.4.5", CookieError::DomainNumber),
        ("256.0.0.1", CookieError::DomainNumber),
        // Domain cookies of addresses don't exist.
        (".127.0.0.1", CookieError::DomainNumber),
        ("xn--.test", punycode("xn--")),
        ("app.XN--bcher-.test", punycode("XN--bcher-")),
        ("xn--bcher-kv_.test", punycode("xn--bcher-kv_")),
        ("xn--99999999.test", punycode("xn--99999999")),
        ("xn--bcher-k.test", punycode("xn--bcher-k")),
    ];
    for (domain, error) in table {
        let built = cookie("a").domain(domain).build();
        assert_eq!(built.map(drop), Err(error), "{domain}");
    }
    for domain in [
        "app.test",
        ".app.test",
        "APP.Test",
        "a-.-b.test",
        "a--b.test",
        "1.test",
        "app.1x",
        "app.0xg",
        "app.x1",
        "XN--Bcher-KVA.example",
        "xn--ls8h.example",
        "xn--mgbh0fb.xn--kgbechtv",
        // Its first delta scales to 455, the bound in the adaptation of the bias.
        "xn--aaa-981sb.example",
    ] {
        assert!(cookie("a").domain(domain).build().is_ok(), "{domain}");
    }
}

#[test]
fn an_extension_can_not_repeat_what_has_a_setter() {
    let table = [
        ("Domain=example.com", "Domain", "domain"),
        ("path=/", "Path", "path"),
        ("SECURE", "Secure", "secure_policy"),
        (" Secure =", "Secure", "secure_policy"),
        ("HttpOnly", "HttpOnly", "http_only"),
        ("samesite = None", "SameSite", "same_site"),
        ("Max-Age=1", "Max-Age", "max_age"),
        ("expires", "Expires", "expires"),
        ("Partitioned", "Partitioned", "partitioned"),
    ];
    for (extension, attribute, setter) in table {
        let error = cookie("a").extension(extension).build().unwrap_err();
        assert_eq!(error, CookieError::ExtensionKnown { attribute, setter });
        assert_eq!(
            error.to_string(),
            format!(
                "cookie extension repeats {attribute}; set it by CookieBuilder::{setter} instead"
            )
        );
    }
}

#[test]
fn what_needs_secure_needs_it_always() {
    for policy in [SecurePolicy::SameAsRequest, SecurePolicy::None] {
        let build = |builder: CookieBuilder| builder.secure_policy(policy).build();
        assert_eq!(
            build(cookie("a").same_site(SameSite::None)).unwrap_err(),
            CookieError::SameSiteNoneWithoutSecure
        );
        assert_eq!(
            build(cookie("a").partitioned(true)).unwrap_err(),
            CookieError::PartitionedWithoutSecure
        );
        for prefix in ["__Secure-", "__Host-", "__Http-", "__Host-Http-"] {
            assert_eq!(
                build(cookie(prefix)).unwrap_err(),
                CookieError::PrefixWithoutSecure { prefix }
            );
        }
        assert!(build(cookie("a").same_site(None)).is_ok());
    }
}

/// Each prefix against each attribute that one of them is about.
#[test]
fn prefixes() {
    type Verdict = Result<(), CookieError>;
    let without_http_only = |prefix| Err(CookieError::PrefixWithoutHttpOnly { prefix });
    let with_path = |prefix| {
        Err(CookieError::PrefixWithPath {
            prefix,
            path: "/app".to_owned(),
        })
    };
    let with_domain = |prefix| {
        Err(CookieError::PrefixWithDomain {
            prefix,
            domain: "a.example".to_owned(),
        })
    };
    let table: [(&str, [Verdict; 4]); 8] = [
        // name, [the defaults, http_only(false), path("/app"), domain("a.example")]
        ("__Secure-a", [Ok(()), Ok(()), Ok(()), Ok(())]),
        (
            "__Host-a",
            [Ok(()), Ok(()), with_path("__Host-"), with_domain("__Host-")],
        ),
        (
            "__Http-a",
            [Ok(()), without_http_only("__Http-"), Ok(()), Ok(())],
        ),
        (
            "__Host-Http-a",
            [
                Ok(()),
                without_http_only("__Host-Http-"),
                with_path("__Host-Http-"),
                with_domain("__Host-Http-"),
            ],
        ),
        (
            "__hOST-a",
            [Ok(()), Ok(()), with_path("__Host-"), with_domain("__Host-")],
        ),
        (
            "__HTTP-a",
            [Ok(()), without_http_only("__Http-"), Ok(()), Ok(())],
        ),
        ("__Host", [Ok(()), Ok(()), Ok(()), Ok(())]),
        ("a__Host-", [Ok(()), Ok(()), Ok(()), Ok(())]),
    ];
    for (name, verdicts) in table {
        let builders = [
            cookie(name),
            cookie(name).http_only(false),
            cookie(name).path("/app"),
            cookie(name).domain("a.example"),
        ];
        for (builder, verdict) in builders.into_iter().zip(verdicts) {
            assert_eq!(builder.build().map(drop), verdict, "{builder:?}");
        }
    }
}

#[test]
fn prefix_errors_say_what_to_do() {
    let table = [
        (
            cookie("__Secure-a").secure_policy(SecurePolicy::None),
            "cookie name starts with __Secure-, which needs Secure; set SecurePolicy::Always",
        ),
        (
            cookie("__http-a").http_only(false),
            "cookie name starts with __Http-, which needs HttpOnly; set http_only(true)",
        ),
        (
            cookie("__Host-a").path("/app"),
            "cookie name starts with __Host-, which needs the path \"/\"; the path is \"/app\"",
        ),
        (
            cookie("__Host-a").domain("a.example"),
            "cookie name starts with __Host-, which forbids a domain; leave out \"a.example\"",
        ),
        (
            cookie("a")
                .same_site(SameSite::None)
                .secure_policy(SecurePolicy::None),
            "cookie SameSite=None is refused by browsers without Secure; set SecurePolicy::Always",
        ),
        (
            cookie("a")
                .partitioned(true)
                .secure_policy(SecurePolicy::None),
            "cookie Partitioned is refused by browsers without Secure; set SecurePolicy::Always",
        ),
    ];
    for (builder, message) in table {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
}

#[test]
fn refused_values_are_told_by_position_and_class_alone() {
    let table = [
        ("hunter2 ", 7, "white space"),
        ("hunter2\t", 7, "white space"),
        ("\"hunter2\"", 0, "a quote"),
        ("hunter2,", 7, "a comma"),
        ("hunter2; Domain=evil.example", 7, "a semicolon"),
        ("hunter2\\", 7, "a backslash"),
        ("hunter2\r\nSet-Cookie: a=b", 7, "a control character"),
        ("hunter2\0", 7, "a control character"),
        ("hunter2\x7F", 7, "a control character"),
        ("hunter2ü", 7, "a character beyond ASCII"),
    ];
    let template = cookie("id").build().unwrap();
    for (value, position, class) in table {
        let error = template
            .render(value, true, OffsetDateTime::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error, CookieError::ValueCharacter { class, position });
        assert_eq!(
            error.to_string(),
            format!(
                "cookie value has {class} at position {position}; allowed is visible ASCII except quote, \
                 comma, semicolon and backslash: encode the value, for example as base64url"
            )
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn name_and_value_share_one_limit() {
    let template = cookie("id").build().unwrap();
    let render =
        |length: usize| template.render(&"v".repeat(length), true, OffsetDateTime::UNIX_EPOCH);
    assert!(render(4094).is_ok());
    assert_eq!(
        render(4095).unwrap_err(),
        CookieError::TooLarge { length: 4097 }
    );
}
