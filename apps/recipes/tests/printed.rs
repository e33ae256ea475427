//! The guides print the files of this crate as they are.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

const BEGIN: &str = "```rust,ignore\n";
const END: &str = "```\n";

/// The blocks of a guide that its own tests don't compile.
fn printed(guide: &str) -> Vec<String> {
    let path = Path::new("../../docs/guides").join(guide);
    let text = fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        blocks.push(block.split(END).next().unwrap().to_owned());
    }
    blocks
}

#[test]
fn the_guides_print_what_is_tested() {
    for (guide, files) in [
        (
            "external-logins.md",
            &["openid_connect.rs", "attempts.rs"][..],
        ),
        ("passkeys.md", &["passkeys.rs"]),
    ] {
        let expected: Vec<_> = files
            .iter()
            .map(|file| fs::read_to_string(Path::new("src").join(file)).unwrap())
            .collect();
        assert!(
            printed(guide) == expected,
            "{guide} prints another text than {files:?}"
        );
    }
}
