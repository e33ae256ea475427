//! What a person sees on their terminal when the server listens.

use std::{
    io::{self, IsTerminal, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::option_values::Time;

/// A short summary of the server, for people. Programs read standard output.
#[derive(Debug, Clone)]
pub(crate) struct Banner {
    /// The name of the store.
    pub(crate) store: &'static str,
    pub(crate) idle_timeout: Time,
    pub(crate) absolute_timeout: Time,
}

impl Banner {
    /// Says on standard error where the server listens: a terminal gets the summary, and anything
    /// else a line of the log.
    pub(crate) fn show(&self, scheme: &str, address: SocketAddr) {
        let mut out = io::stderr();
        if out.is_terminal() {
            // If nobody can read it, that is no reason not to serve.
            let _ = out.write_all(self.about(scheme, address).as_bytes());
        } else {
            tracing::info!(
                address = format!("{scheme}://{address}"),
                store = self.store,
                idle_timeout = %self.idle_timeout,
                absolute_timeout = %self.absolute_timeout,
                "listening"
            );
        }
    }

    fn about(&self, scheme: &str, address: SocketAddr) -> String {
        let open = match loopback(address) {
            Some(loopback) => format!("\n  Open        {scheme}://{loopback}"),
            None => String::new(),
        };
        let kept = match self.store {
            "moka" | "memory" => "sessions end with the process",
            _ => "sessions outlast the process",
        };
        let Self {
            store,
            idle_timeout: idle,
            absolute_timeout: absolute,
        } = self;
        format!(
            "
  Sessions    {scheme}://{address}{open}
  Store       {store}: {kept}
  Timeouts    idle {idle}, absolute {absolute}
  Stop        Ctrl-C

"
        )
    }
}

/// Where a browser on this machine finds a server that listens on all addresses.
fn loopback(address: SocketAddr) -> Option<SocketAddr> {
    let port = address.port();
    address.ip().is_unspecified().then(|| match address {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, port).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_the_demo_shows_it() {
        let banner = Banner {
            store: "moka",
            idle_timeout: "10m".parse().unwrap(),
            absolute_timeout: Time::hours(12),
        };
        let shown = banner.about("https", "127.0.0.1:8080".parse().unwrap());
        assert!(
            include_str!("../../../docs/tutorial/demo.md").contains(&shown),
            "{shown}"
        );
    }

    #[test]
    fn it_has_the_address_the_store_the_timeouts_and_how_to_stop() {
        let banner = Banner {
            store: "moka",
            idle_timeout: "20s".parse().unwrap(),
            absolute_timeout: Time::hours(12),
        };
        let expected = "
  Sessions    https://127.0.0.1:8080
  Store       moka: sessions end with the process
  Timeouts    idle 20s, absolute 12h
  Stop        Ctrl-C

";
        let about = |address: &str| banner.about("https", address.parse().unwrap());
        assert_eq!(about("127.0.0.1:8080"), expected);
        for (all, loopback) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
        ] {
            let lines = format!("Sessions    https://{all}\n  Open        https://{loopback}\n");
            assert!(about(all).contains(&lines), "{}", about(all));
        }
    }
}
