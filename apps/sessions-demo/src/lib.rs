//! The Basic Sessions tutorial as a server: a counter, a sign-in, and values that a user stores,
//! all in one session.
//!
//! [`app()`] builds the whole application, [`router`] its JSON routes alone, and [`run`] serves the
//! application with the given options.

mod about;
mod app;
mod args;
mod banner;
mod device;
mod device_binding;
mod error;
mod failure;
mod first_bytes;
mod health;
mod listener;
mod log;
mod metrics;
mod option_values;
mod page;
mod plain_http;
mod query;
mod recorder;
mod redis_options;
mod reload;
mod requests;
mod routes;
mod serve;
mod settings;
mod stop;
mod store;
mod stream;
mod tls;
mod traffic;
mod user_input;
mod variables;
mod warnings;
mod wrong_start;

pub use about::About;
pub use app::app;
pub use args::{Args, LogFormat, SameSiteOption, SecurePolicyOption};
pub use error::StartError;
pub use routes::router;
pub use store::{Housekeeping, StoreUrl};

use tower_kr_session::{ConfigError, SessionLayer, SessionLimit};

use banner::Banner;
use option_values::Time;
use tls::Transport;

/// Serves the demo with these options until SIGTERM or Ctrl-C.
///
/// # Errors
///
/// If the server can't start, or breaks down; see [`StartError`]. Wrong options are found before
/// the first connection is accepted.
pub fn run(args: Args) -> Result<(), StartError> {
    start(&args).map_err(|error| args.named(error))
}

fn start(args: &Args) -> Result<(), StartError> {
    log::init(args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartError::Serve)?;
    runtime.block_on(async {
        let transport = args.transport()?;
        if let (Transport::Https(config), Some(cert), Some(key)) =
            (&transport, &args.tls_cert, &args.tls_key)
        {
            reload::on_hangup(config.clone(), cert.clone(), key.clone())
                .map_err(StartError::Serve)?;
        }
        let (sessions, _housekeeping) = sessions(args).await?;
        for warning in warnings::of(args) {
            tracing::warn!("{warning}");
        }
        let store = args.store.name();
        let cookie = args.cookie()?.build();
        let cookie = cookie.map_err(|error| settings::wrong(ConfigError::from(error), args))?;
        let about = About {
            store,
            https: !args.http,
            cookie,
        };
        let app = app(sessions, about).map_err(StartError::Sessions)?;
        let listener = serve::bind(args.address())?;
        let bounds = serve::Bounds {
            connections: args.max_connections as usize,
            read: args.read_timeout.duration(),
            shutdown: args.shutdown_timeout.clone(),
        };
        let banner = Banner {
            store,
            idle_timeout: args.idle_timeout(),
            absolute_timeout: args.absolute_timeout(),
        };
        serve::serve(listener, transport, app, bounds, banner).await
    })
}

/// Builds the session layer from the options.
async fn sessions(args: &Args) -> Result<(SessionLayer, Housekeeping), StartError> {
    let tls = !args.http;
    let io_timeout = args.io_timeout.duration();
    let (layer, housekeeping) = args.store.open(io_timeout, &args.redis).await?;
    let layer = layer
        .idle_timeout(args.idle_timeout().duration())
        .absolute_timeout(args.absolute_timeout().duration())
        .cookie(args.cookie()?)
        .max_sessions_per_owner(SessionLimit::EndOldest(args.max_sessions_per_owner))
        .io_timeout(io_timeout)
        // The listener has one scheme, so no header needs to be asked.
        .https_when(move |_| tls);
    let layer = device_binding::around(layer, args.device_binding.as_ref().map(Time::duration));
    layer
        .check()
        .map_err(|error| settings::wrong(error, args))?;
    Ok((layer, housekeeping))
}

/// Compiles the examples of the README and the guides, which need axum. Those of `moving.md` are
/// compiled by the crate that they are about, and blocks that say `ignore` by `apps/recipes` or as
/// examples.
#[cfg(doctest)]
mod documentation {
    macro_rules! documents {
        ($($name:ident = $path:literal),* $(,)?) => {
            $(#[doc = include_str!($path)] struct $name;)*
        };
    }
    documents!(
        Readme = "../../../README.md",
        FrontPage = "../../../docs/README.md",
        AntiPatterns = "../../../docs/guides/anti-patterns.md",
        Cookies = "../../../docs/guides/cookies.md",
        Csrf = "../../../docs/guides/csrf.md",
        DeviceBinding = "../../../docs/guides/device-binding.md",
        Errors = "../../../docs/guides/errors.md",
        ExternalLogins = "../../../docs/guides/external-logins.md",
        Kestrun = "../../../docs/guides/kestrun.md",
        LayerOrder = "../../../docs/guides/layer-order.md",
        Operations = "../../../docs/guides/operations.md",
        OwnStore = "../../../docs/guides/own-store.md",
        QuickStart = "../../../docs/guides/quick-start.md",
        SignIn = "../../../docs/guides/sign-in.md",
        SocketsAndStreams = "../../../docs/guides/sockets-and-streams.md",
        Stores = "../../../docs/stores.md",
        Testing = "../../../docs/guides/testing.md",
        Timeouts = "../../../docs/guides/timeouts.md",
        TwoAreas = "../../../docs/guides/two-areas.md",
        BasicSessions = "../../../docs/tutorial/basic-sessions.md",
    );
    #[cfg(feature = "redis")]
    documents!(Redis = "../../../docs/guides/redis.md");
}
