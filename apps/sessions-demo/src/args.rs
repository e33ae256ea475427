//! The options, each with an environment variable beside it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};
use kr_cookie::{CookieBuilder, SameSite, SecurePolicy};

use crate::error::StartError;
use crate::page::NOTICE_COOKIE;
use crate::redis_options::RedisOptions;
use crate::store::StoreUrl;
use crate::tls::{Identity, Transport};

/// The Basic Sessions tutorial as a server.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    /// The address to listen on.
    #[arg(long, env = "SESSION_BIND", value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// The port to listen on; 0 takes any free one.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,

    /// Serve plain HTTP, without TLS.
    #[arg(long, env = "SESSION_HTTP", value_parser = BoolishValueParser::new())]
    pub http: bool,

    /// The certificate chain as a PEM file; without it a self-signed certificate is made at every start.
    #[arg(long, env = "SESSION_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert as a PEM file.
    #[arg(long, env = "SESSION_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// When the session cookie is marked Secure.
    #[arg(
        long,
        env = "SESSION_SECURE_POLICY",
        value_enum,
        value_name = "WHEN",
        default_value = "always"
    )]
    pub secure_policy: SecurePolicyOption,

    /// The session cookie's SameSite attribute.
    #[arg(
        long,
        env = "SESSION_SAME_SITE",
        value_enum,
        value_name = "MODE",
        default_value = "lax"
    )]
    pub same_site: SameSiteOption,

    /// The session cookie's name.
    #[arg(
        long,
        env = "SESSION_COOKIE_NAME",
        value_name = "NAME",
        default_value = "Kr.Session"
    )]
    pub cookie_name: String,

    /// How long a session lives without a request, as in 20s, 10m or 500ms.
    #[arg(long, env = "SESSION_IDLE_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub idle_timeout: Duration,

    /// How long a session lives at most, whatever its use.
    #[arg(long, env = "SESSION_ABSOLUTE_TIMEOUT", value_name = "TIME", default_value = "12h", value_parser = duration)]
    pub absolute_timeout: Duration,

    /// How many sessions a user may have; a further sign-in ends his oldest one.
    #[arg(long, env = "SESSION_MAX_PER_OWNER", value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_sessions_per_owner: u32,

    /// How long a call to the store may take, an hour at most.
    #[arg(long, env = "SESSION_IO_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = wait)]
    pub io_timeout: Duration,

    /// How long a client may take to send the headers of a request, and then its body; an hour at most.
    #[arg(long, env = "SESSION_READ_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = wait)]
    pub read_timeout: Duration,

    /// How long requests may go on after the signal to stop, an hour at most.
    #[arg(long, env = "SESSION_SHUTDOWN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = wait)]
    pub shutdown_timeout: Duration,

    /// How the log is written to standard error.
    #[arg(
        long,
        env = "SESSION_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Where sessions are kept: moka or memory (both end with the process), or the URL of a store that
    /// is built in.
    // The URL may carry a password: never shown, not even in the help.
    #[arg(
        long,
        env = "SESSION_STORE",
        value_name = "URL",
        default_value = "moka",
        hide_env_values = true
    )]
    pub store: StoreUrl,

    /// What the URL of a store in Redis can't say.
    #[command(flatten)]
    pub redis: RedisOptions,
}

/// When the session cookie is marked `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecurePolicyOption {
    /// On every response.
    Always,
    /// On responses to requests that came over HTTPS.
    SameAsRequest,
    /// Never.
    None,
}

/// The session cookie's `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SameSiteOption {
    /// Sent when the user follows a link to the site, not with requests that other sites make.
    Lax,
    /// Sent only with requests from the site itself.
    Strict,
    /// Sent with every request; browsers accept it only together with Secure.
    None,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: a JSON object in each line.
    Json,
}

impl Args {
    /// The options of this process.
    ///
    /// # Errors
    ///
    /// When the process is to end at once: after `--help` and `--version`, and after a wrong option, which is told in one line
    /// on standard error.
    pub fn from_command_line() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if error.use_stderr() {
                eprintln!("{}", first_paragraph(&error.to_string()));
            } else {
                let _ = error.print();
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    pub(crate) fn cookie(&self) -> Result<CookieBuilder, StartError> {
        if self.cookie_name == NOTICE_COOKIE {
            let why = format!("is the name of the page's own cookie, {NOTICE_COOKIE}");
            return Err(StartError::option("--cookie-name", why));
        }
        let cookie = CookieBuilder::new(&self.cookie_name)
            .http_only(true)
            .same_site(match self.same_site {
                SameSiteOption::Lax => SameSite::Lax,
                SameSiteOption::Strict => SameSite::Strict,
                SameSiteOption::None => SameSite::None,
            })
            .secure_policy(match self.secure_policy {
                SecurePolicyOption::Always => SecurePolicy::Always,
                SecurePolicyOption::SameAsRequest => SecurePolicy::SameAsRequest,
                SecurePolicyOption::None => SecurePolicy::None,
            });
        Ok(cookie)
    }

    pub(crate) fn transport(&self) -> Result<Transport, StartError> {
        let identity = match (self.http, &self.tls_cert, &self.tls_key) {
            (true, None, None) => return Ok(Transport::Http),
            (true, ..) => {
                return Err(StartError::option(
                    "--http",
                    "goes without --tls-cert and --tls-key",
                ));
            }
            (false, None, None) => Identity::self_signed()?,
            (false, Some(cert), Some(key)) => Identity::from_pem_files(cert, key)?,
            (false, Some(_), None) => {
                return Err(StartError::option(
                    "--tls-cert",
                    "needs its private key: add --tls-key",
                ));
            }
            (false, None, Some(_)) => {
                return Err(StartError::option(
                    "--tls-key",
                    "needs its certificate: add --tls-cert",
                ));
            }
        };
        identity.into_transport()
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as in 20s, 10m or 500ms")),
    }
}

/// A time for which the server waits. Nobody waits longer than an hour, and times near the end of
/// the clock overflow.
fn wait(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time > Duration::from_secs(60 * 60) => Err("must be at most 1h".to_owned()),
        time => Ok(time),
    }
}

/// clap's message proper as one line, without the usage and the hints below it.
fn first_paragraph(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    lines
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
