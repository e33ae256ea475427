//! The Basic Sessions tutorial as a server: a counter, a sign-in, and values that a user stores,
//! all in one session.
//!
//! [`app()`] builds the whole application, [`router`] its JSON routes alone, and [`run`] serves the application with the given
//! options.

mod about;
mod app;
mod args;
mod error;
mod failure;
mod first_bytes;
mod health;
mod log;
mod metrics;
mod page;
mod query;
mod recorder;
mod redis_options;
mod reload;
mod routes;
mod serve;
mod stop;
mod store;
mod tls;
mod user_key;

pub use about::About;
pub use app::app;
pub use args::{Args, LogFormat, SameSiteOption, SecurePolicyOption};
pub use error::StartError;
pub use routes::router;
pub use store::{Housekeeping, StoreUrl};

use tower_kr_session::{SessionLayer, SessionLimit};

use tls::Transport;

/// Serves the demo with these options until SIGTERM or Ctrl-C.
///
/// # Errors
///
/// If the server can't start, or breaks down; see [`StartError`]. Wrong options are found before
/// the first connection is accepted.
pub fn run(args: Args) -> Result<(), StartError> {
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
        let (sessions, _housekeeping) = sessions(&args).await?;
        if args.http && args.secure_policy == SecurePolicyOption::Always {
            tracing::warn!(
                "the session cookie will not stick: a Secure cookie is not kept over plain HTTP; \
                 drop --http, or add --secure-policy same-as-request"
            );
        }
        let about = About {
            store: args.store.name(),
            https: !args.http,
        };
        let app = app(sessions, about)?;
        let listener = serve::bind(args.address())?;
        let patience = serve::Patience {
            read: args.read_timeout,
            shutdown: args.shutdown_timeout,
        };
        serve::serve(listener, transport, app, patience).await
    })
}

/// Builds the session layer from the options.
async fn sessions(args: &Args) -> Result<(SessionLayer, Housekeeping), StartError> {
    let tls = !args.http;
    let (layer, housekeeping) = args.store.open(args.io_timeout, &args.redis).await?;
    let layer = layer
        .cookie(args.cookie()?)
        .idle_timeout(args.idle_timeout)
        .absolute_timeout(args.absolute_timeout)
        .max_sessions_per_owner(SessionLimit::EndOldest(args.max_sessions_per_owner))
        .io_timeout(args.io_timeout)
        // The listener has one scheme, so no header needs to be asked.
        .https_when(move |_| tls);
    layer.check()?;
    Ok((layer, housekeeping))
}

/// Compiles the examples of the README and the guides, which need axum.
#[cfg(doctest)]
mod documentation {
    macro_rules! documents {
        ($($name:ident = $path:literal),* $(,)?) => {
            $(#[doc = include_str!($path)] struct $name;)*
        };
    }
    documents!(
        Readme = "../../../README.md",
        Cookies = "../../../docs/guides/cookies.md",
        Csrf = "../../../docs/guides/csrf.md",
        Errors = "../../../docs/guides/errors.md",
        Kestrun = "../../../docs/guides/kestrun.md",
        Moving = "../../../docs/guides/moving.md",
        Operations = "../../../docs/guides/operations.md",
        QuickStart = "../../../docs/guides/quick-start.md",
        SignIn = "../../../docs/guides/sign-in.md",
        Testing = "../../../docs/guides/testing.md",
        Timeouts = "../../../docs/guides/timeouts.md",
    );
}
