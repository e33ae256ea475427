//! Serves the page's style sheet, script and icon, which are built into the program.

use axum::{Router, routing::get};
use http::header;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    [
        (
            "/page/style.css",
            "text/css; charset=utf-8",
            include_str!("style.css"),
        ),
        (
            "/page/script.js",
            "text/javascript; charset=utf-8",
            include_str!("script.js"),
        ),
        ("/page/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ]
    .into_iter()
    .fold(Router::new(), |router, (path, kind, text)| {
        router.route(
            path,
            get(async move || ([(header::CONTENT_TYPE, kind)], text)),
        )
    })
}
