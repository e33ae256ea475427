//! The environment variables beside the options: which option comes from one, and which one is
//! wrong.

use clap::{
    Arg, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

/// Desktops set this one for programs of their own.
const OF_DESKTOPS: &str = "SESSION_MANAGER";

/// The variables that are set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    /// The options that come from a variable, each with its name: `--store` and `SESSION_STORE`.
    used: Vec<(String, String)>,
    unknown: Vec<String>,
}

impl Variables {
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let options = command.get_arguments().filter(|option| {
            matches.value_source(option.get_id().as_str()) == Some(ValueSource::EnvVariable)
        });
        let names = options
            .filter_map(|option| Some((format!("--{}", option.get_long()?), variable(option)?)));
        Self {
            used: names.collect(),
            unknown: unknown(command),
        }
    }

    /// The names that begin like those of the options, and belong to none.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Returns the variable that this option comes from, or else the option itself.
    pub(crate) fn name<'a>(&'a self, option: &'a str) -> &'a str {
        let named = self.used.iter().find(|(from, _)| from == option);
        named.map_or(option, |(_, variable)| variable)
    }
}

/// Parses the command line of this process and the variables. An empty variable counts as unset.
pub(crate) fn parse(command: &Command) -> Result<ArgMatches, clap::Error> {
    let error = match without(command, is_empty).try_get_matches() {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    match without(command, |_| true).try_get_matches() {
        Ok(_) => Err(blame_variable(command, error)),
        // The command line is wrong, or asks for the help, which names every variable.
        Err(_) => command.clone().try_get_matches(),
    }
}

fn unknown(command: &Command) -> Vec<String> {
    let known: Vec<_> = command.get_arguments().filter_map(variable).collect();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<_> = set
        .filter(|name| name.starts_with("SESSION_") && name != OF_DESKTOPS)
        .filter(|name| !known.contains(name))
        .collect();
    unknown.sort();
    unknown
}

fn without(command: &Command, unwanted: impl Fn(&Arg) -> bool) -> Command {
    command.clone().mut_args(|option| match unwanted(&option) {
        true => option.env(None::<&str>),
        false => option,
    })
}

fn is_empty(option: &Arg) -> bool {
    let value = option.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| value.is_empty())
}

/// Lets an error name the variable that it is about, in the place of the option.
fn blame_variable(command: &Command, mut error: clap::Error) -> clap::Error {
    let is_wrong = |option: &&Arg| {
        let alone = without(command, |other| {
            other.get_id() != option.get_id() || is_empty(other)
        });
        alone.try_get_matches().is_err()
    };
    let wrong = command.get_arguments().find(is_wrong);
    let Some(variable) = wrong.and_then(variable) else {
        return error;
    };
    if error.kind() == ErrorKind::InvalidUtf8 {
        let message = format!("{variable} is not valid UTF-8\n");
        return clap::Error::raw(error.kind(), message).with_cmd(command);
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    error
}

fn variable(option: &Arg) -> Option<String> {
    Some(option.get_env()?.to_str()?.to_owned())
}
