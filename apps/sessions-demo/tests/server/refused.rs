//! How a start that is refused has to look: one line and an exit status.

use crate::support::{Ended, run};

#[track_caller]
pub(crate) fn wrong_option(args: &[&str], says: &str) {
    says_so(&run(&[], args), says);
}

/// The options or the variables are wrong.
#[track_caller]
pub(crate) fn says_so(ended: &Ended, says: &str) {
    let Ended {
        status,
        stdout,
        stderr,
    } = ended;
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(says),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[track_caller]
pub(crate) fn failed(ended: &Ended, says: &str) {
    let Ended { status, stderr, .. } = ended;
    assert_eq!(status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: ") && last.contains(says),
        "{stderr}"
    );
}
