//! Serves the page's style sheet, scripts and icon, which are built into the program.

use axum::{Router, routing::get};
use http::header;

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$((
            concat!("/page/", $name),
            SCRIPT,
            include_str!(concat!("scripts/", $name)),
        )),*]
    };
}

const SCRIPTS: [(&str, &str, &str); 7] = scripts!(
    "main.js", "ring.js", "tabs.js", "times.js", "place.js", "race.js", "copy.js",
);

/// Browsers that show JSON ask for `/favicon.ico`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let style = (
        "/page/style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    );
    let icon = |path| (path, "image/svg+xml", include_str!("icon.svg"));
    SCRIPTS
        .into_iter()
        .chain([style, icon("/page/icon.svg"), icon("/favicon.ico")])
        .fold(Router::new(), |router, (path, kind, text)| {
            router.route(
                path,
                get(async move || ([(header::CONTENT_TYPE, kind)], text)),
            )
        })
}
