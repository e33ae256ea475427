//! 3.3.1 to 3.3.5: what the cookie is, whatever its name and in every answer that sets or removes
//! it.

use crate::client::Site;

/// RFC 6265bis, section 4.1.3, and draft-ietf-httpbis-layered-cookies: what a browser demands for
/// each prefix, and it demands it of the removal too. (Attributes that don't fit the name are
/// refused at start: `options::a_bad_option_is_one_clear_line`.)
#[test]
fn every_set_cookie_has_the_attributes_that_its_prefix_demands() {
    for (name, same_site) in [
        ("__Host-Http-id", "lax"),
        ("__Host-id", "strict"),
        ("__Http-id", "lax"),
        ("__Secure-id", "none"),
        ("id", "lax"),
    ] {
        let site = Site::start(&["--cookie-name", name, "--same-site", same_site]);
        let mut visitor = site.visitor();
        let mut cookies = Vec::new();
        for path in [
            "/session/counter",
            "/session/login?user=max",
            "/session/login?user=eve",
            "/session/logout",
        ] {
            cookies.push(visitor.get(path).header("set-cookie").unwrap().to_owned());
        }
        for cookie in &cookies {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let attributes: Vec<&str> = attributes.split("; ").collect();
            let same_site = match same_site {
                "lax" => "SameSite=Lax",
                "strict" => "SameSite=Strict",
                _ => "SameSite=None",
            };
            for attribute in ["Secure", "HttpOnly", "Path=/", same_site] {
                let count = attributes
                    .iter()
                    .filter(|given| **given == attribute)
                    .count();
                assert_eq!(count, 1, "{attribute}: {cookie}");
            }
            let others: Vec<_> = attributes
                .iter()
                .filter(|given| !["Secure", "HttpOnly", "Path=/", same_site].contains(given))
                .collect();
            let (given, value) = pair.split_once('=').unwrap();
            assert_eq!(given, name);
            assert!(pair.len() <= 4_096);
            if value.is_empty() {
                assert!(
                    others.iter().all(
                        |given| given.starts_with("Max-Age=0") || given.starts_with("Expires=")
                    ),
                    "{cookie}"
                );
            } else {
                assert_eq!(value.len(), 64);
                assert!(others.is_empty(), "{cookie}");
            }
        }
        assert!(cookies.last().unwrap().contains("Max-Age=0"), "{cookies:?}");
    }
}
