//! What is printed instead of a start: help, version, completions.

use crate::{
    refused::{failed, wrong_option},
    support::{run, run_by_shell},
};

crate::tests!(
    help_and_version_are_no_errors,
    help_is_grouped_has_examples_and_fits_the_terminal,
    completions_are_scripts,
    what_can_not_be_printed_is_an_error,
);

/// A disk that is full, say.
fn what_can_not_be_printed_is_an_error() {
    for option in ["--help", "--version", "--completions=bash"] {
        let ended = run_by_shell(&format!("exec \"$0\" {option} >/dev/full"));
        failed(&ended, "can't write to standard output: No space left");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

fn help_and_version_are_no_errors() {
    let help = run(&[], &["--help"]);
    assert!(help.status.success());
    assert!(help.stdout.contains("--idle-timeout"), "{}", help.stdout);
    let version = run(&[], &["--version"]);
    assert!(version.status.success());
    assert_eq!(
        version.stdout,
        concat!("sessions-demo ", env!("CARGO_PKG_VERSION"))
    );
}

fn help_is_grouped_has_examples_and_fits_the_terminal() {
    let help = run(&[("COLUMNS", "72")], &["--help"]).stdout;
    for part in [
        "Network:",
        "TLS:",
        "Cookie:",
        "Timeouts and limits:",
        "Store:",
        "Log:",
        "Examples:",
        "Variables:",
        "Exit status:",
    ] {
        assert!(help.lines().any(|line| line == part), "{part}\n{help}");
    }
    for part in ["RUST_LOG", "NO_COLOR", "postgres://", "mysql://"] {
        assert!(help.contains(part), "{part}\n{help}");
    }
    // What stands in one piece, such as a default, is never broken.
    let long = help.lines().filter(|line| line.len() > 80);
    assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new());
}

fn completions_are_scripts() {
    for (shell, says) in [
        ("bash", "-o bashdefault -o default sessions-demo"),
        ("zsh", "#compdef sessions-demo"),
        ("fish", "complete -c sessions-demo"),
    ] {
        let ended = run(&[("PORT", "0")], &["--completions", shell]);
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(ended.stdout.contains(says), "{}", ended.stdout);
        assert!(ended.stdout.contains("idle-timeout"));
        assert_eq!(ended.stderr, "");
    }
    wrong_option(&["--completions", "cmd"], "[possible values: bash");
}
