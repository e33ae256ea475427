//! Scripts that run inside the server: each is one atomic step on one key.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// A script, which the server caches under the hash of its text.
pub(crate) struct Program {
    text: &'static str,
    hash: LazyLock<String>,
}

macro_rules! program {
    ($name:ident: $($file:literal),+) => {
        pub(crate) static $name: Program = {
            const TEXT: &str = concat!($(include_str!(concat!($file, ".lua")), "\n"),+);
            Program {
                text: TEXT,
                hash: LazyLock::new(|| Script::new(TEXT).get_hash().to_owned()),
            }
        };
    };
}

program!(APPLY: "apply_request", "record", "numbers", "apply");
program!(CREATE: "create");
program!(REMOVE: "remove_request", "record", "remove");
program!(ANNOUNCE: "index", "announce");
program!(SETTLE: "index", "settle");
program!(CHECK: "index", "check");
program!(REVOKE: "index", "revoke");
program!(PAGE: "index", "page");
program!(TIDY: "index", "tidy");

/// All scripts, loaded on each new connection.
pub(crate) static PROGRAMS: [&Program; 9] = [
    &APPLY, &CREATE, &REMOVE, &ANNOUNCE, &SETTLE, &CHECK, &REVOKE, &PAGE, &TIDY,
];

impl Program {
    /// Returns the command that loads this script.
    pub(crate) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.text);
        command
    }

    /// Returns the command that runs this script by its hash.
    pub(crate) fn by_hash(&self, key: &[u8], arguments: &[&[u8]]) -> Cmd {
        finish("EVALSHA", &self.hash, key, arguments)
    }

    /// Returns the command that runs this script by its text, for a server that has forgotten it.
    pub(crate) fn by_text(&self, key: &[u8], arguments: &[&[u8]]) -> Cmd {
        finish("EVAL", self.text, key, arguments)
    }
}

fn finish(name: &str, script: &str, key: &[u8], arguments: &[&[u8]]) -> Cmd {
    let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
    let mut command = Cmd::with_capacity(
        4 + arguments.len(),
        name.len() + script.len() + 1 + key.len() + bytes,
    );
    command.arg(name).arg(script).arg(1).arg(key);
    for argument in arguments {
        command.arg(*argument);
    }
    command
}
