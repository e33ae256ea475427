//! `Clear-Site-Data`: what a browser is asked to delete when a session ends.

use http::{HeaderName, HeaderValue};

pub(crate) const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// A kind of data that a browser keeps for a site, for
/// [`SessionLayer::clear_site_data`](crate::SessionLayer::clear_site_data).
///
/// The kinds are those of the W3C's [Clear Site Data](https://www.w3.org/TR/clear-site-data/). A
/// browser ignores kinds that it doesn't know, and obeys the header only over HTTPS and on
/// `localhost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SiteData {
    /// `"cache"`: the browser's cache of this origin.
    Cache,
    /// `"cookies"`: the cookies of the whole registrable domain. A logout at `shop.example.com`
    /// also clears those of `example.com` and all its other hosts, and credentials of HTTP
    /// authentication.
    Cookies,
    /// `"storage"`: the origin's local and session storage, databases, caches of scripts and
    /// service workers.
    Storage,
}

impl SiteData {
    const ALL: [Self; 3] = [Self::Cache, Self::Cookies, Self::Storage];

    const fn directive(self) -> &'static str {
        match self {
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
        }
    }

    /// Returns the header for these kinds, each named once; `None` if there are none.
    pub(crate) fn header(kinds: &[Self]) -> Option<HeaderValue> {
        let named = Self::ALL.into_iter().filter(|kind| kinds.contains(kind));
        let directives: Vec<_> = named.map(Self::directive).collect();
        if directives.is_empty() {
            return None;
        }
        HeaderValue::from_str(&directives.join(", ")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_named_once_and_in_quotes() {
        assert_eq!(SiteData::header(&[]), None);
        let twice = [SiteData::Storage, SiteData::Cache, SiteData::Storage];
        assert_eq!(SiteData::header(&twice).unwrap(), "\"cache\", \"storage\"");
        assert_eq!(
            SiteData::header(&SiteData::ALL).unwrap(),
            "\"cache\", \"cookies\", \"storage\""
        );
    }
}
