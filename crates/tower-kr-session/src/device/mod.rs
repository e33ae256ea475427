//! Sessions that are bound to the browser's device (feature `device-bound`).
//!
//! `binding` is plain data in a record and decides; `jwt`, `jwk`, `key`, `secret` and `headers` are
//! what goes over the wire; `settings` checks what an application asks for; `carried` is what a
//! request brings along; `endpoint` answers a browser that registers or refreshes.

mod binding;
#[cfg(test)]
mod binding_tests;
mod carried;
mod claims;
mod endpoint;
mod headers;
mod jwk;
mod jwt;
#[cfg(test)]
mod jwt_tests;
mod key;
mod refusal;
mod secret;
mod settings;
mod tries;

pub(crate) use self::{
    binding::Binding,
    carried::Carried,
    endpoint::{Answer, answer},
    headers::{REGISTRATION, Skipped, registration},
    refusal::Refusal,
    secret::{Secret, challenge_hash},
    settings::Device,
    tries::{TRIES, contended},
};
pub use self::{binding::DeviceState, settings::DeviceBinding};
use crate::model::Record;

impl DeviceState {
    /// Returns how a session stands to a device, by its record. Bytes that can't be read bind it to
    /// none, and open nothing.
    pub(crate) fn of(record: &Record) -> Self {
        let binding = record
            .device()
            .and_then(|bytes| Binding::decode(bytes).ok());
        binding.map_or(Self::Unbound, |binding| binding.state())
    }
}
