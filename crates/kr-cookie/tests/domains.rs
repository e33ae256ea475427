//! The Domain attribute against another implementation of the URL standard.

use kr_cookie::{CookieBuilder, CookieError};
use proptest::{collection::vec, prelude::*};
use url::Url;

/// The host of a URL with this host, as a browser writes it.
fn as_host(domain: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{domain}/")).ok()?;
    url.host_str().map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_domain_is_accepted_if_a_url_can_have_it_as_its_host(
        labels in vec(
            prop_oneof![
                4 => "[a-zA-Z0-9_-]{1,6}",
                2 => "[0-9]{1,3}",
                1 => "0[xX][0-9a-fA-F]{0,3}",
                2 => "[xX]n--([a-z]{1,3}-)?[a-z0-9-]{0,8}",
            ],
            1..5,
        ),
    ) {
        let domain = labels.join(".");
        let is_host = as_host(&domain).is_some_and(|host| host == domain.to_ascii_lowercase());
        match CookieBuilder::new("a").domain(&domain).build() {
            // Which international names there are is told by Unicode's tables, which nobody asks
            // here.
            Ok(_) if domain.to_ascii_lowercase().contains("xn--") => {}
            Ok(_) => prop_assert!(is_host, "accepted {domain}"),
            Err(CookieError::DomainNumber | CookieError::DomainPunycode { .. }) => {
                prop_assert!(!is_host, "refused {domain}");
            }
            Err(error) => prop_assert!(false, "{domain}: {error}"),
        }
    }
}
