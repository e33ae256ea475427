//! The options, each with an environment variable beside it.

use std::{
    env,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use clap_complete::{Shell, generate};
use kr_cookie::{CookieBuilder, SameSite, SecurePolicy};

use crate::{
    error::StartError,
    option_values::{Time, address, connections, port, sessions, switch, wait},
    page,
    redis_options::RedisOptions,
    store::StoreUrl,
    tls::{Identity, Transport},
    variables::{self, Variables},
    wrong_start,
};

const NETWORK: &str = "Network";
const TLS: &str = "TLS";
const COOKIE: &str = "Cookie";
const TIMEOUTS: &str = "Timeouts and limits";
const STORE: &str = "Store";
const LOG: &str = "Log";

/// Each line that begins with the program's name is a command line that works.
const MORE: &str = "\
Examples:
  Serve https://127.0.0.1:8080 with a certificate made at the start:
    sessions-demo
  Serve plain HTTP, with a cookie that browsers keep there:
    sessions-demo --http --secure-policy same-as-request --port 3000
  Keep the sessions when the server stops:
    sessions-demo --store sqlite://sessions.db --idle-timeout 10m
  Share them with other processes:
    sessions-demo --store redis://127.0.0.1:6379
    sessions-demo --store postgres://user@127.0.0.1/database
    sessions-demo --store mysql://user@127.0.0.1/database
  Complete options in this shell:
    source <(sessions-demo --completions bash)

Variables:
  An option on the command line wins over its variable. An empty
  variable counts as unset. These two have no option:
  RUST_LOG  The levels of the log, as in info,tower_kr_session=debug
            [default: info]
  NO_COLOR  With any value, the log has no colors

Exit status:
  0  The server was asked to stop, and has stopped
  1  It failed: it can't listen, or can't use its store
  2  An option, a variable, or a file that one of them names, is wrong";

/// The last lines of the short help. A line of an option has no room for its values.
const SHORT: &str = "\
WHEN is always, same-as-request or none. MODE is lax, strict or none.
FORMAT is text or json.
Times have units, as in 20s, 10m or 500ms.
--help has the details, the environment variables, and examples.";

/// The Basic Sessions tutorial as a server, with a page that shows the session.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, after_help = SHORT, after_long_help = MORE)]
pub struct Args {
    /// Print a script for this shell's completion.
    ///
    /// It completes the options, and the values that they know.
    #[arg(long, value_enum, value_name = "SHELL")]
    pub completions: Option<Shell>,

    /// The address to listen on.
    #[arg(
        long,
        alias = "host",
        env = "SESSION_BIND",
        value_name = "IP",
        default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
        value_parser = address,
        allow_hyphen_values = true,
        help_heading = NETWORK
    )]
    pub bind: IpAddr,

    /// The port to listen on; 0 takes any free one.
    #[arg(
        long,
        env = "PORT",
        default_value_t = 8080,
        value_parser = port,
        allow_hyphen_values = true,
        help_heading = NETWORK
    )]
    pub port: u16,

    /// Serve plain HTTP, without TLS.
    #[arg(
        long,
        env = "SESSION_HTTP",
        value_parser = switch,
        help_heading = TLS
    )]
    pub http: bool,

    /// The certificate chain [default: self-signed]
    ///
    /// It is a PEM file. Without it, a self-signed certificate is made at each start.
    #[arg(
        long,
        env = "SESSION_TLS_CERT",
        value_name = "FILE",
        help_heading = TLS
    )]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert.
    ///
    /// It is a PEM file, unencrypted.
    #[arg(
        long,
        env = "SESSION_TLS_KEY",
        value_name = "FILE",
        help_heading = TLS
    )]
    pub tls_key: Option<PathBuf>,

    /// When the cookie is Secure.
    ///
    /// Over plain HTTP, clients keep no Secure cookie, except Chromium, Firefox and curl on
    /// loopback.
    #[arg(
        long,
        env = "SESSION_SECURE_POLICY",
        value_enum,
        value_name = "WHEN",
        default_value = "always",
        help_heading = COOKIE
    )]
    pub secure_policy: SecurePolicyOption,

    /// Its SameSite attribute.
    #[arg(
        long,
        env = "SESSION_SAME_SITE",
        value_enum,
        value_name = "MODE",
        default_value = "lax",
        help_heading = COOKIE
    )]
    pub same_site: SameSiteOption,

    /// The session cookie's name.
    ///
    /// Servers on different ports of one host share cookies: give each its own name.
    #[arg(
        long,
        env = "SESSION_COOKIE_NAME",
        value_name = "NAME",
        default_value = "Kr.Session",
        help_heading = COOKIE
    )]
    pub cookie_name: String,

    /// Bind sessions to the device (experimental).
    ///
    /// Browsers that can't do that get sessions as ever. A proof of the device counts for this long
    /// [default without TIME: 10m]
    #[arg(
        long,
        env = "SESSION_DEVICE_BINDING",
        value_name = "TIME",
        num_args = 0..=1,
        default_missing_value = "10m",
        help_heading = COOKIE
    )]
    pub device_binding: Option<Time>,

    /// Life of an idle session.
    ///
    /// A session ends when no request used it for this long.
    #[arg(
        long,
        env = "SESSION_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "20s",
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub idle_timeout: Time,

    /// Life of a session in use [default: 12h]
    ///
    /// A session ends this long after its start or its last sign-in, even if it is in use.
    #[arg(
        long,
        env = "SESSION_ABSOLUTE_TIMEOUT",
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub absolute_timeout: Option<Time>,

    /// Sessions of one user.
    ///
    /// A user may have this many. A further sign-in ends the user's oldest one.
    #[arg(
        long,
        env = "SESSION_MAX_PER_OWNER",
        value_name = "NUMBER",
        default_value = "100",
        value_parser = sessions,
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub max_sessions_per_owner: u32,

    /// Time for a store call.
    ///
    /// A call to the store may take this long, an hour at most.
    #[arg(
        long,
        env = "SESSION_IO_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = wait,
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub io_timeout: Time,

    /// Open connections.
    ///
    /// This many may be open at a time. Further ones wait. Each takes a file descriptor.
    #[arg(
        long,
        env = "SESSION_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "1000",
        value_parser = connections,
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub max_connections: u32,

    /// Time to send a request.
    ///
    /// A client may take this long to send the headers, and then the body; an hour at most.
    #[arg(
        long,
        env = "SESSION_READ_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = wait,
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub read_timeout: Time,

    /// Time to finish at a stop.
    ///
    /// Requests may go on for this long after the signal to stop, an hour at most.
    #[arg(
        long,
        env = "SESSION_SHUTDOWN_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = wait,
        allow_hyphen_values = true,
        help_heading = TIMEOUTS
    )]
    pub shutdown_timeout: Time,

    /// Where sessions are: moka, memory, or a URL.
    ///
    /// Sessions in moka and memory end with the process. A URL looks like sqlite://sessions.db, and
    /// starts with sqlite://, postgres://, mysql://, redis://, rediss://, redis+sentinel:// or
    /// redis+cluster://. A postgres:// URL of PgBouncer or its like ends in
    /// ?transaction_pooler=true.
    #[arg(
        long,
        env = "SESSION_STORE",
        value_name = "URL",
        default_value = "moka",
        help_heading = STORE
    )]
    pub store: StoreUrl,

    /// What the URL of a store in Redis can't say.
    #[command(flatten)]
    pub redis: RedisOptions,

    /// Format of the log.
    ///
    /// It goes to standard error.
    #[arg(
        long,
        env = "SESSION_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = LOG
    )]
    pub log_format: LogFormat,

    #[arg(skip)]
    variables: Variables,
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
    /// When the process is to end at once: after `--help`, `--version` and `--completions`, and
    /// after a wrong option, which standard error tells.
    pub fn from_command_line() -> Result<Self, ExitCode> {
        let args = Self::try_from_command_line().map_err(|error| wrong_start::tell(&error))?;
        match args.completions {
            Some(shell) => {
                let mut script = Vec::new();
                generate(shell, &mut options(), "sessions-demo", &mut script);
                Err(wrong_start::printed(io::stdout().write_all(&script)))
            }
            None => Ok(args),
        }
    }

    fn try_from_command_line() -> Result<Self, clap::Error> {
        let options = match env::args_os().any(|argument| argument == "-h") {
            true => short_options(),
            false => options(),
        };
        let matches = variables::parse(&options)?;
        Ok(Self {
            variables: Variables::of(&options, &matches),
            ..Self::from_arg_matches(&matches)?
        })
    }

    /// Returns the name of what was set: an option, or the variable that it comes from.
    pub(crate) fn name<'a>(&'a self, option: &'a str) -> &'a str {
        self.variables.name(option)
    }

    /// The variables that look like one of an option, and are none.
    pub(crate) fn unknown_variables(&self) -> &[String] {
        self.variables.unknown()
    }

    /// Lets an error name the variable that an option comes from.
    pub(crate) fn named(&self, mut error: StartError) -> StartError {
        for option in error.options_mut() {
            *option = self.name(option).to_owned();
        }
        error
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.port)
    }

    /// The idle timeout. An absolute one that is named and shorter is meant for every session.
    pub(crate) fn idle_timeout(&self) -> Time {
        match &self.absolute_timeout {
            Some(absolute) if absolute.duration() < self.idle_timeout.duration() => {
                absolute.clone()
            }
            _ => self.idle_timeout.clone(),
        }
    }

    pub(crate) fn absolute_timeout(&self) -> Time {
        let named = self.absolute_timeout.clone();
        named.unwrap_or_else(|| Time::hours(12))
    }

    pub(crate) fn cookie(&self) -> Result<CookieBuilder, StartError> {
        if page::COOKIES.contains(&&*self.cookie_name) {
            let why = format!("is the name of the page's own cookie, {}", self.cookie_name);
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
                let [cert, key] = ["--tls-cert", "--tls-key"].map(|option| self.name(option));
                let why = format!("goes without {cert} and {key}");
                return Err(StartError::option("--http", why));
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

/// The options. No value of a variable is shown in the help: that of the store may hold a password.
fn options() -> Command {
    Args::command().mut_args(|option| option.hide_env_values(true))
}

/// The options for the short help, which has a line for each. clap hides a variable in both helps
/// or in none.
fn short_options() -> Command {
    options().mut_args(|option| {
        let has_value = option.get_action().takes_values();
        option.hide_env(true).hide_possible_values(has_value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_fit_together() {
        options().debug_assert();
        short_options().debug_assert();
    }

    #[test]
    fn each_example_of_the_help_is_a_command_line_that_works() {
        let examples = MORE.lines().map(|line| line.trim_start());
        let examples: Vec<_> = examples
            .map(|line| line.strip_prefix("source <(").unwrap_or(line))
            .filter(|line| line.starts_with("sessions-demo"))
            .map(|line| line.trim_end_matches(')').split(' '))
            .collect();
        assert!(examples.len() > 6, "{examples:?}");
        for example in examples {
            Args::try_parse_from(example).unwrap();
        }
    }
}
