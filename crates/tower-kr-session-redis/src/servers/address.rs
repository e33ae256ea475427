//! Parses the URLs that name servers.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::connect_error::ConnectError;

const SENTINEL_PORT: u16 = 26_379;
const SERVER_PORT: u16 = 6_379;

/// The servers that a URL names.
#[derive(Clone)]
pub(crate) enum Target {
    Server(ConnectionInfo),
    Sentinel {
        /// The sentinels. They carry the servers' credentials until the builder sets their own.
        sentinels: Vec<ConnectionInfo>,
        master: String,
        /// Settings of the connection to the master; its address is filled in later.
        server: ConnectionInfo,
    },
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Parses a URL: `redis`, `rediss` or `unix` with one server; `redis+sentinel` and
    /// `redis+cluster` (or `rediss+...`) with several hosts.
    ///
    /// No error shows a part of the URL: it may be part of a password.
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("it must begin with a scheme such as redis://"))?;
        let (plain_scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if plain_scheme != "unix" && kind != "unix" {
            check_credentials(rest)?;
        }
        match (plain_scheme, kind) {
            ("redis" | "rediss" | "valkey" | "valkeys" | "unix", "") => {
                Ok(Self::Server(connection_info(url)?))
            }
            ("redis" | "valkey", "unix") => Ok(Self::Server(connection_info(url)?)),
            ("redis" | "rediss" | "valkey" | "valkeys", "sentinel") => {
                Self::sentinel(plain_scheme, rest)
            }
            ("redis" | "rediss" | "valkey" | "valkeys", "cluster") => {
                let parts = Parts::split(rest)?;
                if !matches!(parts.path, "" | "0") {
                    return Err(invalid("a cluster has no databases to choose from"));
                }
                Ok(Self::Cluster(parts.servers(
                    plain_scheme,
                    SERVER_PORT,
                    "",
                )?))
            }
            _ => Err(invalid(
                "the scheme must be redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster",
            )),
        }
    }

    fn sentinel(scheme: &str, rest: &str) -> Result<Self, ConnectError> {
        let parts = Parts::split(rest)?;
        let (master, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
        if master.is_empty() {
            return Err(invalid(
                "the name of the master is missing: redis+sentinel://host1,host2/NAME",
            ));
        }
        let sentinels = parts.servers(scheme, SENTINEL_PORT, "")?;
        let server = parts
            .servers(scheme, SENTINEL_PORT, database)?
            .swap_remove(0);
        Ok(Self::Sentinel {
            sentinels,
            master: master.to_owned(),
            server,
        })
    }

    /// The servers that the URL names; for Sentinel, the sentinels.
    pub(crate) fn servers(&self) -> &[ConnectionInfo] {
        match self {
            Self::Server(info) => std::slice::from_ref(info),
            Self::Sentinel { sentinels, .. } => sentinels,
            Self::Cluster(nodes) => nodes,
        }
    }

    /// Takes the settings of a client that the application already has.
    pub(crate) fn server(info: ConnectionInfo) -> Self {
        Self::Server(prepared(info))
    }
}

/// The parts of a URL with several hosts, which URL parsers don't support.
struct Parts<'a> {
    credentials: Option<&'a str>,
    hosts: &'a str,
    path: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Result<Self, ConnectError> {
        let (rest, suffix) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        if hosts.split(',').any(str::is_empty) {
            return Err(invalid("a host is missing"));
        }
        Ok(Self {
            credentials,
            hosts,
            path: path.trim_end_matches('/'),
            suffix,
        })
    }

    fn servers(
        &self,
        scheme: &str,
        default_port: u16,
        database: &str,
    ) -> Result<Vec<ConnectionInfo>, ConnectError> {
        self.hosts
            .split(',')
            .map(|host| {
                let credentials = self
                    .credentials
                    .map_or(String::new(), |credentials| format!("{credentials}@"));
                // Colons inside an IPv6 address come before its bracket.
                let has_port = host
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| !port.ends_with(']'));
                let port = if has_port {
                    String::new()
                } else {
                    format!(":{default_port}")
                };
                let suffix = self.suffix;
                connection_info(&format!(
                    "{scheme}://{credentials}{host}{port}/{database}{suffix}"
                ))
            })
            .collect()
    }
}

/// Refuses a password with a character that ends the credentials for a parser of URLs: the rest of
/// the password would then be taken for the server's name.
fn check_credentials(rest: &str) -> Result<(), ConnectError> {
    let after = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
    if after.contains('@') {
        return Err(invalid(
            "percent-encode the special characters of the user name and the password: / is %2F, ? is %3F, # is %23, @ is %40",
        ));
    }
    Ok(())
}

fn connection_info(url: &str) -> Result<ConnectionInfo, ConnectError> {
    url.into_connection_info().map(prepared).map_err(|error| {
        // The client's messages name the faulty part, never its text.
        let fault = error.to_string();
        let fault = match has_wrong_port(url) {
            true => "the port is no number up to 65535",
            false => fault.trim_end_matches(" - InvalidClientConfig"),
        };
        invalid(&format!(
            "{fault}; write redis://host:port, or rediss://host:port for TLS"
        ))
    })
}

fn has_wrong_port(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    // Colons inside an IPv6 address come before its bracket.
    let port = host.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.ends_with(']') && port.parse::<u16>().is_err())
}

/// Adds what every connection needs.
fn prepared(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone();
    // Only version 3 of the protocol reports a broken connection at once.
    let settings = settings
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    // No small message may wait for the next one.
    let tcp_settings = info.tcp_settings().clone().set_nodelay(true);
    info.set_redis_settings(settings)
        .set_tcp_settings(tcp_settings)
}

/// The same settings for another host.
pub(crate) fn at(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

pub(crate) fn uses_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn invalid(reason: &str) -> ConnectError {
    ConnectError::InvalidUrl {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(infos: &[ConnectionInfo]) -> Vec<String> {
        infos.iter().map(|info| info.addr().to_string()).collect()
    }

    #[test]
    fn a_url_names_one_server() {
        for (url, address) in [
            ("redis://127.0.0.1", "127.0.0.1:6379"),
            ("redis://user:p%40ss@host:7000/3", "host:7000"),
            ("rediss://host", "host:6379"),
            ("valkey://host", "host:6379"),
            ("redis://[::1]:7000", "::1:7000"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+unix:///run/redis.sock", "/run/redis.sock"),
        ] {
            match Target::parse(url) {
                Ok(Target::Server(info)) => {
                    assert_eq!(info.addr().to_string(), address);
                    assert_eq!(info.redis_settings().protocol(), ProtocolVersion::RESP3);
                    assert_eq!(uses_tls(&info), url.starts_with("rediss"));
                }
                _ => panic!("{url}"),
            }
        }
    }

    #[test]
    fn a_sentinel_url_names_sentinels_and_a_master() {
        let url = "rediss+sentinel://me:p%40ss@one,two:7001,[::1],[::2]:7002/mymaster/2";
        let Ok(Target::Sentinel {
            sentinels,
            master,
            server,
        }) = Target::parse(url)
        else {
            panic!("{url}");
        };
        assert_eq!(
            addresses(&sentinels),
            ["one:26379", "two:7001", "::1:26379", "::2:7002"]
        );
        assert_eq!(master, "mymaster");
        assert_eq!(server.redis_settings().db(), 2);
        assert_eq!(server.redis_settings().username(), Some("me"));
        assert_eq!(server.redis_settings().password(), Some("p@ss"));
        assert!(uses_tls(&server) && uses_tls(&sentinels[3]));
        let moved = at(&server, "three", 6_380);
        assert_eq!(moved.addr().to_string(), "three:6380");
        assert!(uses_tls(&moved));
    }

    #[test]
    fn a_cluster_url_names_some_of_its_nodes() {
        let Ok(Target::Cluster(nodes)) = Target::parse("redis+cluster://:secret@one:7000,two")
        else {
            panic!("a cluster");
        };
        assert_eq!(addresses(&nodes), ["one:7000", "two:6379"]);
        assert_eq!(nodes[1].redis_settings().password(), Some("secret"));
    }

    #[test]
    fn a_password_that_is_not_percent_encoded_is_not_taken_for_a_server() {
        for scheme in ["redis", "rediss", "redis+sentinel", "rediss+cluster"] {
            for password in [
                "p@ss#word",
                "pass/word",
                "p?ssword",
                "12/34",
                "p@ss@word/",
                "#",
            ] {
                let url = format!("{scheme}://:{password}@host/main");
                let Err(error) = Target::parse(&url) else {
                    panic!("{url} is accepted");
                };
                let message = error.to_string();
                assert!(message.contains("percent-encode"), "{message}");
                for part in ["ss", "word", "12", "34", "host"] {
                    assert!(!message.replace("password", "").contains(part), "{message}");
                }
            }
        }
        // These are nowhere the end of a password.
        for url in [
            "redis://:p@s:s,w%2Ford!$&'()*+;=@host",
            "redis+sentinel://:p@s:s,w%2Ford@host,other/main",
            "unix:///run/redis@home.sock",
            "redis+unix:///run/redis@home.sock",
        ] {
            assert!(Target::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn bad_urls_say_what_is_wrong_and_show_no_password() {
        for (url, expected) in [
            ("127.0.0.1:6379", "scheme"),
            ("http://:sesame@host", "scheme must be"),
            ("redis+sentinel://:sesame@one,two", "name of the master"),
            ("redis+sentinel://:sesame@one,/main", "a host is missing"),
            ("redis+sentinel://:sesame@one/main/x", "database"),
            ("redis+cluster://:sesame@one/3", "no databases"),
            ("redis+cluster://:sesame@", "a host is missing"),
            ("redis://:sesame@host/x", "database"),
            (
                "redis://:sesame@host:99999",
                "the port is no number up to 65535",
            ),
            ("redis://:sesame@[::1]:abc/2", "the port is no number"),
            (
                "redis+cluster://:sesame@one:1,two:x",
                "the port is no number",
            ),
            ("redis://:sesame@[::1/2", "did not parse"),
        ] {
            let message = match Target::parse(url) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("{url} is accepted"),
            };
            assert!(message.contains(expected), "{url}: {message}");
            assert!(!message.contains("sesame"), "{message}");
        }
    }
}
