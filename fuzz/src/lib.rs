//! What must hold for any bytes, one function for each reader of bytes from outside: it panics where it doesn't hold.
//!
//! Two kinds of callers: the targets of cargo-fuzz, which look for such bytes by the coverage that they reach (a nightly compiler),
//! and `tests/properties.rs`, which tries a million random ones each (any compiler).

#[path = "../../crates/tower-kr-session-sqlx/src/columns.rs"]
#[allow(dead_code, reason = "only what reads is looked at")]
mod columns;
mod cookies;
mod damage;
#[path = "../../crates/tower-kr-session-redis/src/record/fields.rs"]
#[allow(
    dead_code,
    reason = "only what reads and writes a whole record is looked at"
)]
mod fields;
#[path = "../../crates/tower-kr-session-redis/src/record/life.rs"]
#[allow(
    dead_code,
    reason = "only what reads and writes a whole record is looked at"
)]
mod life;
#[path = "../../crates/tower-kr-session-redis/src/record/numbers.rs"]
#[allow(
    dead_code,
    reason = "only what reads and writes a whole record is looked at"
)]
mod numbers;
mod record;
mod redis_fields;
mod sql_row;
mod token;

pub use cookies::cookies;
pub use record::{record, values};
pub use redis_fields::redis_fields;
pub use sql_row::sql_row;
pub use token::token;
