//! A field to write into, with its label, and beside it what is wrong with what was written.

use maud::{Markup, html};

use super::feedback::Feedback;

pub(super) struct Field<'a> {
    pub(super) id: &'a str,
    /// The name in the form.
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) placeholder: &'a str,
    /// The longest text, in UTF-16 units. The server counts bytes.
    pub(super) longest: Option<u32>,
    pub(super) autocomplete: &'a str,
    /// Whether it was just used.
    pub(super) used: bool,
    /// The id of the line below the form.
    pub(super) line: &'a str,
}

impl Field<'_> {
    pub(super) fn show(&self, feedback: &Feedback<'_>) -> Markup {
        let error = feedback.error(self.id);
        let error_id = format!("{}-error", self.id);
        let described = if error.is_some() {
            &error_id
        } else {
            self.line
        };
        html! {
            div.field {
                label for=(self.id) { (self.label) }
                input id=(self.id) name=(self.name) required maxlength=[self.longest]
                    placeholder=(self.placeholder) autocomplete=(self.autocomplete) dir="auto"
                    value=[feedback.written(self.id)] autofocus[self.used || error.is_some()]
                    aria-describedby=(described) aria-invalid=[error.map(|_| "true")];
                @if let Some(error) = error { p.wrong id=(error_id) { (error) "." } }
            }
        }
    }
}
