//! Runs the demo server.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match sessions_demo::Args::from_command_line() {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    match sessions_demo::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
