//! The lines that the code of a test writes to the log, each in the test's own thread.
//!
//! One subscriber serves the whole process: which lines are wanted is decided once, so tests with
//! subscribers of their own would disturb each other.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{Debug, Write},
    sync::Once,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// An event, without its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) message: String,
}

impl Line {
    pub(crate) fn event(&self) -> &str {
        self.fields.get("event").map_or("", String::as_str)
    }

    /// The event's name, then the other fields as `name=value`, sorted.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}", self.level, self.event());
        for (name, value) in &self.fields {
            if name != "event" {
                write!(text, " {name}={value}").unwrap();
            }
        }
        text
    }
}

/// Starts to capture, with nothing captured yet.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(registry().with(Capture)).unwrap();
    });
    take();
}

/// What was written since the last call.
pub(crate) fn take() -> Vec<Line> {
    LINES.take()
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Others have lines of their own.
        if !event.metadata().target().starts_with("tower_kr_session") {
            return;
        }
        let mut line = Line {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: BTreeMap::new(),
            message: String::new(),
        };
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}
