//! What a cookie looks like on the wire.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::time::Duration;

use kr_cookie::{
    CookieBuilder, CookieError, CookieTemplate, LIFETIME_LIMIT, SameSite, SecurePolicy,
};
use time::{OffsetDateTime, UtcOffset};

/// Sunday, 6 November 1994, 08:49:37 GMT: the example of RFC 9110, section 5.6.7.
fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(784_111_777).unwrap()
}

fn cookie() -> CookieBuilder {
    CookieBuilder::new("id")
}

fn template(builder: &CookieBuilder) -> CookieTemplate {
    builder.build().unwrap()
}

#[test]
fn secure_policy_by_scheme() {
    let table = [
        (SecurePolicy::Always, true, true),
        (SecurePolicy::Always, false, true),
        (SecurePolicy::SameAsRequest, true, true),
        (SecurePolicy::SameAsRequest, false, false),
        (SecurePolicy::None, true, false),
        (SecurePolicy::None, false, false),
    ];
    for (policy, https, secure) in table {
        let template = template(&cookie().secure_policy(policy));
        assert_eq!(template.secure_policy(), policy);
        assert_eq!(
            template.is_secure(https),
            secure,
            "{policy:?}, https: {https}"
        );

        let attribute = if secure { "; Secure" } else { "" };
        assert_eq!(
            template.render("v", https, now()).unwrap(),
            format!("id=v{attribute}; Path=/; HttpOnly; SameSite=Lax")
        );
        assert_eq!(
            template.removal(https),
            format!(
                "id=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{attribute}; Path=/; HttpOnly; SameSite=Lax"
            )
        );
    }
    assert_eq!(SecurePolicy::default(), SecurePolicy::Always);
}

#[test]
fn every_attribute() {
    let hour = Duration::from_secs(3600);
    let table = [
        (cookie(), "id=v; Secure; Path=/; HttpOnly; SameSite=Lax"),
        (
            cookie().http_only(false),
            "id=v; Secure; Path=/; SameSite=Lax",
        ),
        (
            cookie().same_site(SameSite::Strict),
            "id=v; Secure; Path=/; HttpOnly; SameSite=Strict",
        ),
        (
            cookie().same_site(SameSite::None),
            "id=v; Secure; Path=/; HttpOnly; SameSite=None",
        ),
        (cookie().same_site(None), "id=v; Secure; Path=/; HttpOnly"),
        (
            cookie().domain("example.com").path("/app"),
            "id=v; Secure; Domain=example.com; Path=/app; HttpOnly; SameSite=Lax",
        ),
        (
            cookie().partitioned(true),
            "id=v; Secure; Path=/; HttpOnly; SameSite=Lax; Partitioned",
        ),
        (
            cookie()
                .extension("Priority=High")
                .extension("B")
                .extension("A=1")
                .extension("A=1"),
            "id=v; Secure; Path=/; HttpOnly; SameSite=Lax; Priority=High; B; A=1; A=1",
        ),
        (
            cookie().max_age(hour),
            "id=v; Max-Age=3600; Secure; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            cookie().expires(hour),
            "id=v; Expires=Sun, 06 Nov 1994 09:49:37 GMT; Secure; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            cookie().max_age(hour).expires(hour * 2),
            "id=v; Max-Age=3600; Expires=Sun, 06 Nov 1994 10:49:37 GMT; Secure; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            cookie()
                .max_age(hour)
                .max_age(None)
                .expires(hour)
                .expires(None),
            "id=v; Secure; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            cookie().essential(false),
            "id=v; Secure; Path=/; HttpOnly; SameSite=Lax",
        ),
    ];
    for (builder, expected) in table {
        let header = template(&builder).render("v", true, now()).unwrap();
        assert_eq!(header, expected);
        assert!(header.is_sensitive());
    }
}

#[test]
fn an_empty_value_is_a_value() {
    let header = template(&cookie().same_site(None))
        .render("", true, now())
        .unwrap();
    assert_eq!(header, "id=; Secure; Path=/; HttpOnly");
}

#[test]
fn getters() {
    let hour = Duration::from_secs(3600);
    let plain = template(&cookie());
    assert_eq!(plain.name(), "id");
    assert!(plain.is_essential());
    assert_eq!(plain.max_age(), None);

    let template = template(&cookie().essential(false).max_age(hour));
    assert!(!template.is_essential());
    assert_eq!(template.max_age(), Some(hour));
}

#[test]
fn a_max_age_of_its_own_replaces_the_templates() {
    let builder = cookie()
        .max_age(Duration::from_secs(1))
        .expires(Duration::from_secs(1));
    let template = template(&builder);
    let render = |max_age| template.render_with_max_age("v", true, now(), max_age);
    assert_eq!(
        render(Duration::from_secs(60)).unwrap(),
        "id=v; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:38 GMT; Secure; Path=/; HttpOnly; SameSite=Lax"
    );
    assert!(render(LIFETIME_LIMIT).unwrap().is_sensitive());
    assert_eq!(
        render(Duration::ZERO).unwrap_err(),
        CookieError::ZeroLifetime {
            attribute: "Max-Age"
        }
    );
    let age = LIFETIME_LIMIT + Duration::from_nanos(1);
    assert_eq!(
        render(age).unwrap_err(),
        CookieError::LifetimeTooLong {
            attribute: "Max-Age",
            age
        }
    );
}

#[test]
fn max_age_is_rounded_up() {
    let table = [
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(9_001), "10"),
        (Duration::from_secs(99), "99"),
        (LIFETIME_LIMIT - Duration::from_nanos(1), "34560000"),
        (LIFETIME_LIMIT, "34560000"),
    ];
    for (max_age, seconds) in table {
        let header = template(&cookie().same_site(None).max_age(max_age)).render("v", true, now());
        assert_eq!(
            header.unwrap(),
            format!("id=v; Max-Age={seconds}; Secure; Path=/; HttpOnly")
        );
    }
}

#[test]
fn expires_is_rounded_up_and_in_utc() {
    let milliseconds = |count| Duration::from_millis(count);
    let ahead = UtcOffset::from_hms(14, 0, 0).unwrap();
    let leap_day = OffsetDateTime::from_unix_timestamp(951_782_399).unwrap();
    let before_the_epoch = OffsetDateTime::UNIX_EPOCH - milliseconds(1_500);
    let table = [
        (now(), milliseconds(1_000), "Sun, 06 Nov 1994 08:49:38 GMT"),
        (now(), milliseconds(1), "Sun, 06 Nov 1994 08:49:38 GMT"),
        (
            now() + milliseconds(500),
            milliseconds(500),
            "Sun, 06 Nov 1994 08:49:38 GMT",
        ),
        (
            now() + milliseconds(999),
            milliseconds(999),
            "Sun, 06 Nov 1994 08:49:39 GMT",
        ),
        (
            now().to_offset(ahead),
            milliseconds(1_000),
            "Sun, 06 Nov 1994 08:49:38 GMT",
        ),
        (
            leap_day,
            milliseconds(1_000),
            "Tue, 29 Feb 2000 00:00:00 GMT",
        ),
        (
            before_the_epoch,
            milliseconds(1_000),
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ),
    ];
    for (now, expires, date) in table {
        let header = template(&cookie().same_site(None).expires(expires)).render("v", true, now);
        assert_eq!(
            header.unwrap(),
            format!("id=v; Expires={date}; Secure; Path=/; HttpOnly")
        );
    }
}

#[test]
fn a_clock_beyond_the_years_of_a_cookie_is_an_error() {
    let last_second = OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap();
    let last_of_1600 = OffsetDateTime::from_unix_timestamp(-11_644_473_601).unwrap();
    let second = Duration::from_secs(1);
    let expiring = template(&cookie().expires(second));
    let out_of_range = Err(CookieError::ExpiresOutOfRange);
    assert_eq!(expiring.render("v", true, last_second), out_of_range);
    assert_eq!(
        expiring.render("v", true, last_of_1600 - second),
        out_of_range
    );
    assert!(expiring.render("v", true, last_second - second).is_ok());
    assert!(expiring.render("v", true, last_of_1600).is_ok());
    // Nobody looks at the clock for a cookie without Expires.
    assert!(template(&cookie()).render("v", true, last_second).is_ok());
}

#[test]
fn a_removal_repeats_what_identifies_the_cookie() {
    let builder = cookie()
        .domain("example.com")
        .path("/app")
        .partitioned(true)
        .same_site(SameSite::None)
        .max_age(Duration::from_secs(60))
        .expires(Duration::from_secs(60));
    let removal = template(&builder).removal(false);
    assert_eq!(
        removal,
        "id=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; Domain=example.com; Path=/app; \
         HttpOnly; SameSite=None; Partitioned"
    );
    // It holds no secret, and so may go into the compression table like any other header.
    assert!(!removal.is_sensitive());
}

#[test]
fn templates_can_be_shared_by_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    shared::<CookieTemplate>();
}
