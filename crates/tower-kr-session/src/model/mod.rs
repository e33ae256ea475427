//! Plain data: what a session is, what a request changes in it, and how it is encoded. No I/O, no
//! async, no `http`.

mod apply;
mod clock;
mod delta;
mod device;
mod encoding;
mod id;
pub mod key;
mod label;
mod limits;
mod owner;
mod record;
pub(crate) mod token_text;
mod values;

pub use self::{
    apply::{ApplyOutcome, Receipt},
    clock::{Clock, Instants, ManualClock, SystemClock, Timestamp},
    delta::{Delta, Operation, SignIn},
    device::{DeviceChange, MAX_DEVICE_BYTES},
    encoding::DecodeError,
    id::{InvalidSessionId, SecretHash, SessionId},
    label::{InvalidLabel, Label, MAX_LABEL_BYTES},
    limits::{IdleLimit, LimitsChange},
    owner::{InvalidOwner, MAX_OWNER_BYTES, Owner},
    record::{RECLAIM_GRACE, RETIRED_FOR, Record, Removal, RemoveOutcome, Retired, TokenState},
    values::{CorruptValues, Values},
};
pub(crate) use self::{
    apply::{increment, integer_bytes},
    clock::{is_timeout, whole_millis},
    delta::{change, find},
    encoding::largest_session,
    id::{NewToken, Token, is_imported_token},
};
