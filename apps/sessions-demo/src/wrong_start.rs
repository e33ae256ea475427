//! What ends the process before the server starts: an error in one line, and what `--help` and its
//! like print.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::error::{ContextKind, ErrorKind};

/// Prints what clap has to say: an error in one line, as all of a start, or the help or the
/// version.
pub(crate) fn tell(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        eprintln!("{}", one_line(error));
        return ExitCode::from(2);
    }
    printed(error.print())
}

/// Returns the exit status after something was written to standard output.
pub(crate) fn printed(written: io::Result<()>) -> ExitCode {
    match written.and_then(|()| io::stdout().flush()) {
        // Whoever reads has seen enough: `--help | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: can't write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The error with clap's tips, and without its usage.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let mut lines: Vec<_> = lines
        .take_while(|line| {
            !["Usage:", "For more information"]
                .iter()
                .any(|end| line.starts_with(end))
        })
        .filter(|line| !line.is_empty())
        .collect();
    if error.kind() == ErrorKind::TooManyValues {
        lines.push("write it without a value");
    }
    if error.kind() == ErrorKind::UnknownArgument {
        let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
        if !argument.is_some_and(|argument| argument.starts_with("--")) {
            lines.push("each option begins with two hyphens, as in --port 8080");
        }
        lines.push("--help lists the options");
    }
    lines.join("; ")
}
