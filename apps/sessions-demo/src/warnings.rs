//! Options and variables that work, but not as most people expect.

use crate::args::{Args, SecurePolicyOption};

/// Returns a sentence for each of them.
pub(crate) fn of(args: &Args) -> Vec<String> {
    let mut warnings = Vec::new();
    let unknown = args.unknown_variables();
    if !unknown.is_empty() {
        warnings.push(format!(
            "{}: no option has such a variable; --help lists the variables",
            unknown.join(", ")
        ));
    }
    if args.http && args.secure_policy == SecurePolicyOption::Always {
        warnings.push(format!(
            "{}: the session cookie may not stick: over plain HTTP clients keep no Secure cookie, \
             except Chromium, Firefox and curl on loopback; drop {0}, or set {} same-as-request",
            args.name("--http"),
            args.name("--secure-policy"),
        ));
    }
    if args.device_binding.is_some() {
        let why = match (args.http, &args.tls_cert) {
            (true, _) => Some((
                "over plain HTTP",
                format!("drop {} and give", args.name("--http")),
            )),
            (false, None) => Some((
                "with a certificate that is new at each start",
                "give".to_owned(),
            )),
            (false, Some(_)) => None,
        };
        warnings.extend(why.map(|(why, give)| {
            format!(
                "{}: browsers bind no session {why}; {give} {} and {} of a certificate that they \
                 trust",
                args.name("--device-binding"),
                args.name("--tls-cert"),
                args.name("--tls-key"),
            )
        }));
    }
    if let Some(absolute) = &args.absolute_timeout
        && absolute.duration() < args.idle_timeout.duration()
    {
        warnings.push(format!(
            "{} {} is below {} {}: sessions end after the former, even if they are in use",
            args.name("--absolute-timeout"),
            absolute,
            args.name("--idle-timeout"),
            args.idle_timeout
        ));
    }
    if !args.bind.is_loopback() {
        warnings.push(format!(
            "{} {} can be reached from other machines, and the sign-in asks no password: whoever \
             reaches it signs in as anybody",
            args.name("--bind"),
            args.bind
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn each_names_its_options() {
        for (line, says) in [
            ("", None),
            ("--http", Some("--secure-policy same-as-request")),
            ("--http --secure-policy same-as-request", None),
            (
                "--device-binding 1m",
                Some("each start; give --tls-cert and --tls-key of a certificate that they trust"),
            ),
            (
                "--http --secure-policy same-as-request --device-binding 1m",
                Some("bind no session over plain HTTP; drop --http and give --tls-cert"),
            ),
            (
                "--tls-cert cert.pem --tls-key key.pem --device-binding 1m",
                None,
            ),
            ("--absolute-timeout 20s", None),
            (
                "--absolute-timeout 19s",
                Some("--absolute-timeout 19s is below --idle-timeout 20s"),
            ),
            (
                "--absolute-timeout 24h --idle-timeout 25h",
                Some("--absolute-timeout 24h is below --idle-timeout 25h"),
            ),
            ("--bind 127.0.0.2", None),
            ("--bind ::1", None),
            ("--bind 0.0.0.0", Some("--bind 0.0.0.0 can be reached")),
            ("--bind ::", Some("--bind :: can be reached")),
            ("--bind 192.0.2.1", Some("asks no password")),
        ] {
            let options = line.split(' ').filter(|option| !option.is_empty());
            let args = Args::try_parse_from(["sessions-demo"].into_iter().chain(options)).unwrap();
            let warnings = of(&args);
            match says {
                Some(says) => assert!(
                    matches!(&warnings[..], [one] if one.contains(says)),
                    "{line}: {warnings:?}"
                ),
                None => assert!(warnings.is_empty(), "{line}: {warnings:?}"),
            }
        }
    }
}
