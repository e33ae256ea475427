//! Assigns a function's instructions to a part of a request.

/// The parts of a request, and how the names of their functions are recognised. The first part that
/// matches counts.
const PARTS: [(&str, &[&str]); 10] = [
    ("SHA-256, in software here", &["sha2", "digest"]),
    (
        "base64url of the token",
        &["token_text", "id::Token", "id::NewToken"],
    ),
    (
        "memory: allocating, freeing, copying",
        &[
            "malloc", "free", "__rdl", "__rust", "memcpy", "memmove", "memset",
        ],
    ),
    (
        "the request's extensions (an `Extension` layer has them too)",
        &["extensions", "hashbrown::raw", "hashbrown::map", "hash_one"],
    ),
    (
        "cookies: reading and writing",
        &["kr_cookie", "transport::candidates", "get_all", "ValueIter"],
    ),
    (
        "response headers",
        &[
            "mark_private",
            "transport::send",
            "header::map",
            "header::value",
        ],
    ),
    ("clock", &["clock"]),
    ("JSON", &["serde_json", "itoa"]),
    (
        "store, record, values",
        &[
            "tower_kr_session::store",
            "tower_kr_session::record",
            "tower_kr_session::values",
            "tower_kr_session::delta",
            "hashbrown::table",
            "memcmp",
        ],
    ),
    ("session, layer, commit", &["tower_kr_session"]),
];

/// The functions of no other part: mostly what axum and the handler do with what the layer adds.
pub const REST: &str = "the rest: axum with a larger request, the handler";

pub fn titles() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(title, _)| *title).chain([REST])
}

pub fn of(function: &str) -> &'static str {
    PARTS
        .iter()
        .find(|(_, names)| names.iter().any(|name| function.contains(name)))
        .map_or(REST, |(title, _)| title)
}
