//! Why a value and its JSON don't fit, without the value.

use std::fmt;

use serde_json::error::Category;

/// Error of a session value that can't be read as its type, or written as JSON.
///
/// It names the type, the problem and the place. It never shows the value, not even a part of it:
/// values may be secret, and errors are logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ValueError {
    type_name: &'static str,
    problem: Problem,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is JSON, but not of this type.
    Mismatch { line: usize, column: usize },
    /// It is no JSON.
    NoJson { line: usize, column: usize },
    /// The JSON ends before it is complete.
    EndsEarly,
    /// A number is NaN or infinite.
    NotFinite,
    /// It is nested deeper than it could be read.
    TooDeep,
    /// The key of a map is no text.
    MapKey,
    /// Its `Serialize` fails.
    Serialize,
}

impl ValueError {
    pub(super) const fn new(type_name: &'static str, problem: Problem) -> Self {
        Self { type_name, problem }
    }
}

impl Problem {
    pub(super) fn reading(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => Self::Mismatch { line, column },
            Category::Eof => Self::EndsEarly,
            Category::Syntax | Category::Io => Self::NoJson { line, column },
        }
    }

    pub(super) fn writing(error: &serde_json::Error) -> Self {
        match error.classify() {
            // Only the bound on nesting fails in writing to memory.
            Category::Io => Self::TooDeep,
            _ if error.to_string() == "key must be a string" => Self::MapKey,
            _ => Self::Serialize,
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.type_name;
        match self.problem {
            // Errors of a type's own `Deserialize` have no place.
            Problem::Mismatch { line: 0, .. } => write!(f, "expected `{name}`"),
            Problem::Mismatch { line, column } => {
                write!(f, "expected `{name}` at line {line}, column {column}")
            }
            Problem::NoJson { line, column } => {
                write!(
                    f,
                    "expected `{name}`, found no JSON at line {line}, column {column}"
                )
            }
            Problem::EndsEarly => write!(f, "expected `{name}`, found JSON that ends early"),
            Problem::NotFinite => write!(f, "a number in this `{name}` is NaN or infinite"),
            Problem::TooDeep => write!(f, "this `{name}` is nested more than 127 levels deep"),
            Problem::MapKey => write!(f, "a map in this `{name}` has a key that is no text"),
            Problem::Serialize => write!(f, "the `Serialize` of this `{name}` failed"),
        }
    }
}

impl fmt::Debug for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueError({self})")
    }
}

impl std::error::Error for ValueError {}
