//! What is printed instead of a start: help, version, completions.

use crate::{
    refused::{failed, wrong_option},
    support::{run, run_by_shell},
};

crate::tests!(
    help_and_version_are_no_errors,
    help_is_grouped_has_examples_and_fits_the_terminal,
    short_help_has_a_line_for_each_option,
    completions_are_scripts,
    what_can_not_be_printed_is_an_error,
);

/// A disk that is full, say. A server that can't say where it listens is of no use to programs.
fn what_can_not_be_printed_is_an_error() {
    for option in ["--help", "--version", "--completions=bash"] {
        let ended = run_by_shell(&format!("exec \"$0\" {option} >/dev/full"));
        failed(&ended, "can't write to standard output: No space left");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    let ended = run_by_shell("exec \"$0\" --port 0 >/dev/full");
    let says = "can't write the address to standard output: No space left";
    failed(&ended, says);
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

fn short_help_has_a_line_for_each_option() {
    let help = run(&[("PORT", "x"), ("COLUMNS", "80")], &["-h"]);
    assert!(help.status.success(), "{}", help.stderr);
    let short = help.stdout;
    assert!(short.lines().count() < 60, "{short}");
    let last = "--help has the details, the environment variables, and examples.";
    assert_eq!(short.lines().last(), Some(last), "{short}");
    let options = |help: &str| -> Vec<String> {
        let lines = help
            .lines()
            .filter_map(|line| line.trim_start().split(' ').next());
        let options = lines.filter(|word| word.starts_with("--") && word.len() > 2);
        options.map(ToOwned::to_owned).collect()
    };
    let long = run(&[], &["--help"]).stdout;
    let of_short: Vec<_> = options(&short)
        .into_iter()
        .filter(|word| word != "--help")
        .collect();
    assert_eq!(of_short, options(&long), "{short}");
    // Each with what it is for, in one line.
    for line in short.lines().filter(|line| line.starts_with("      --")) {
        assert!(line.trim_start().contains("  "), "{line}");
    }
    for heading in ["Network:", "TLS:", "Cookie:", "Store:", "Log:"] {
        assert!(short.lines().any(|line| line == heading), "{short}");
    }
    for values in [
        "WHEN is always, same-as-request or none.",
        "MODE is lax, strict or none.",
        "FORMAT is text or json.",
    ] {
        assert!(short.contains(values), "{short}");
    }
    assert!(long.contains("[env: SESSION_BIND]"), "{long}");
    assert!(!short.contains("SESSION_"), "{short}");
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
