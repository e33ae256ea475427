//! What the tests of the demo share.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod client;
mod down;
mod identity;
pub(crate) mod secret;
mod server;

pub(crate) use self::{
    client::{Answer, Client, NAME},
    down::Down,
    identity::identity,
    server::{Ended, Server, VARIABLES, run, run_by_shell},
};
