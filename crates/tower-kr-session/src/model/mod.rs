//! Plain data: what a session is, what a request changes in it, and how it is encoded. No I/O, no
//! async, no `http`.

mod clock;
mod delta;
mod encoding;
mod id;
pub mod key;
mod limits;
mod owner;
mod record;
pub(crate) mod token_text;
mod values;

pub use self::{
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    delta::{Delta, Instants, Operation, SignIn},
    encoding::DecodeError,
    id::{InvalidSessionId, SecretHash, SessionId},
    limits::{IdleLimit, LimitsChange},
    owner::{InvalidOwner, MAX_OWNER_BYTES, Owner},
    record::{
        ApplyOutcome, RECLAIM_GRACE, RETIRED_FOR, Receipt, Record, Removal, RemoveOutcome, Retired,
        TokenState,
    },
    values::{CorruptValues, Values},
};
pub(crate) use self::{
    clock::{is_timeout, whole_millis},
    delta::{change, find},
    encoding::largest_session,
    id::{NewToken, Token},
    record::{increment, integer_bytes},
};
