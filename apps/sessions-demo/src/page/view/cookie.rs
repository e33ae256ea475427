//! The card of the session cookie.

use std::time::SystemTime;

use maud::{Markup, html};

use crate::{about::About, page::notice::Notice};

/// Shows the session cookie that the last action set, or else what each one has.
pub(super) fn card(about: &About, notice: &Notice) -> Markup {
    html! {
        section.card.cookie aria-labelledby="kept" {
            h2 #kept { "The cookie" }
            @match (&notice.set_cookie, notice.action) {
                (Some(set_cookie), _) => {
                    p { "The last action answered with" }
                    pre #set-cookie { code { "Set-Cookie: " (set_cookie) } }
                    (attributes(set_cookie))
                }
                (None, Some(_)) => p #set-cookie { "The last action set no cookie: the token stayed as it was." },
                (None, None) => p #set-cookie { "Nothing was set: showing this page changes no cookie." },
            }
            @if notice.set_cookie.is_none() {
                p { "Whenever it is set, it has" }
                (attributes(&any(about)))
            }
        }
    }
}

/// A session cookie as this server sets it, without the token.
fn any(about: &About) -> String {
    let name = about.cookie.name();
    let now = SystemTime::now().into();
    let set_cookie = about.cookie.render("token", about.https, now);
    let set_cookie = set_cookie.as_ref().ok().and_then(|set| set.to_str().ok());
    let attributes = set_cookie.and_then(|text| text.split_once("; "));
    match attributes {
        Some((_, attributes)) => format!("{name}=…; {attributes}"),
        None => format!("{name}=…"),
    }
}

fn attributes(set_cookie: &str) -> Markup {
    html! {
        ul.attributes { @for attribute in set_cookie.split("; ") { li { (attribute_means(attribute)) } } }
    }
}

fn attribute_means(attribute: &str) -> Markup {
    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
    let means = match (name.to_ascii_lowercase().as_str(), value) {
        ("secure", _) => "it travels over HTTPS only",
        ("httponly", _) => "no script reads it",
        ("samesite", "Lax") => "other sites' forms don't send it, links do",
        ("samesite", "Strict") => "no other site makes the browser send it",
        ("samesite", _) => "every site makes the browser send it",
        ("path", "/") => "for the whole site",
        ("path", _) => "for this part of the site",
        ("domain", _) => "for this domain and all below it",
        ("max-age", "0") => "the browser forgets it now",
        ("max-age", _) => "the browser keeps it for this many seconds",
        ("expires", _) => "the browser keeps it until then, if it ignores Max-Age",
        ("partitioned", _) => "embedded in another site it is another cookie",
        (_, "") => "the name, and no value any more",
        (_, "…") => "the name, and a token that this page doesn't show",
        _ => "",
    };
    html! { code { (attribute) } " " (means) }
}
