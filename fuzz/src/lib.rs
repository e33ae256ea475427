//! Properties that must hold for any bytes: one function for each reader of bytes from outside,
//! which panics if its property doesn't hold.
//!
//! They have two callers: the targets of cargo-fuzz, which search for such bytes by coverage (a
//! nightly compiler), and `tests/properties.rs`, which tries a million random inputs each (any
//! compiler).

#[path = "../../crates/tower-kr-session-sqlx/src/columns.rs"]
#[allow(dead_code, reason = "only what reads is looked at")]
mod columns;
mod cookies;
mod damage;
mod device_proof;
#[path = "../../crates/tower-kr-session-redis/src/record/fields.rs"]
#[allow(
    dead_code,
    reason = "only what reads and writes a whole record is looked at"
)]
mod fields;
#[path = "../../crates/tower-kr-session/src/device/jwk.rs"]
mod jwk;
#[path = "../../crates/tower-kr-session/src/device/jwt.rs"]
mod jwt;
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
pub use device_proof::device_proof;
pub use record::{record, values};
pub use redis_fields::redis_fields;
pub use sql_row::sql_row;
pub use token::token;
