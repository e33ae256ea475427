//! The Domain attribute against other implementations of the URL standard and of Punycode.

use idna::punycode;
use kr_cookie::{CookieBuilder, CookieError};
use proptest::{char, collection::vec, prelude::*};
use url::Url;

/// The host of a URL with this host, as a browser writes it.
fn as_host(domain: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{domain}/")).ok()?;
    url.host_str().map(str::to_owned)
}

/// What follows `xn--`: mostly Punycode or nearly so.
fn encoded() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        2 => char::range('a', 'z'),
        2 => char::range('\u{80}', '\u{24F}'),
        1 => char::range('\u{4E00}', '\u{4FFF}'),
        1 => any::<char>().prop_filter("ASCII is above", |character| !character.is_ascii()),
    ];
    let text = vec(character, 1..7).prop_map(|text| punycode::encode(&text).unwrap_or_default());
    prop_oneof![
        2 => text.clone(),
        1 => text.prop_map(|mut encoded| {
            encoded.pop();
            encoded
        }),
        2 => "([a-z]{0,3}-)?[a-zA-Z0-9]{0,12}",
    ]
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

    #[test]
    fn an_xn_label_is_accepted_if_it_is_punycode_of_a_text_beyond_ascii(encoded in encoded()) {
        let text = punycode::decode(&encoded);
        let is_international = text.is_some_and(|text| text.iter().any(|character| !character.is_ascii()));
        let domain = format!("xn--{encoded}.test");
        let built = CookieBuilder::new("a").domain(&domain).build();
        prop_assert_eq!(built.is_ok(), is_international, "{}", domain);
    }
}
