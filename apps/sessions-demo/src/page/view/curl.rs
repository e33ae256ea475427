//! The commands that do with curl what the buttons do.

use maud::{Markup, html};

use crate::page::base::Base;

/// Writes commands for one server. They keep their cookies in the file `jar.txt`.
pub(super) struct Curl(String);

impl Curl {
    pub(super) fn new(base: &Base, https: bool) -> Self {
        let scheme = if https { "https" } else { "http" };
        Self(format!("{scheme}://{}", base.0))
    }

    /// Gets a path.
    pub(super) fn get(&self, path: &str) -> String {
        format!("curl -sk -w '\\n' -b jar.txt -c jar.txt '{}{path}'", self.0)
    }

    /// Posts a form. A form without fields is an empty one. The answer is a redirect without a
    /// body.
    pub(super) fn post(&self, form: &str, path: &str) -> String {
        format!(
            "curl -sk -w '%{{http_code}}\\n' -b jar.txt -c jar.txt -d '{form}' '{}{path}'",
            self.0
        )
    }

    /// Sends the requests of a race, and then prints what the page says of both counts.
    pub(super) fn race(&self) -> String {
        let Self(base) = self;
        format!(
            "curl -sk -b jar.txt -c jar.txt -d '' '{base}/page/race/ready'; \\\n\
             curl -skZ --parallel-max 100 --no-progress-meter -o /dev/null -b jar.txt -d '' \\\n  \
             '{base}/page/race/{{increment,plain}}?[1-50]'; \\\n\
             curl -sk -b jar.txt '{base}/' | \\\n  \
             grep -o '[a-z, ]*: [0-9][0-9]* of 50[^<]*'"
        )
    }

    /// Signs in, and then shows the token from before.
    pub(super) fn replay(&self) -> String {
        let login = self.get("/session/login?user=max");
        format!(
            "cp jar.txt old.txt; {login}; curl -sk -w '\\n' -b old.txt '{}/session/whoami'",
            self.0
        )
    }
}

/// Commands that can be unfolded and copied.
pub(super) fn block<const N: usize>(commands: [String; N]) -> Markup {
    html! {
        details.curl {
            summary { "With curl" }
            p.quiet { "curl is another visitor: it has a session of its own." }
            @for command in commands { pre tabindex="0" { (command) } }
        }
    }
}
