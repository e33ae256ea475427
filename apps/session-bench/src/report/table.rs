//! Renders Markdown tables.

use crate::stats::Figure;

/// A table whose first column is text and whose others are numbers.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn render(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(&self.header);
        text += &format!("|---|{}\n", "--:|".repeat(self.header.len() - 1));
        self.rows.iter().for_each(|row| text += &line(row));
        text
    }
}

/// Formats a figure and its spread: `1,664 (3 %)`.
pub fn nanos(figure: Figure) -> String {
    format!(
        "{} ({:.0} %)",
        thousands(figure.best),
        figure.spread * 100.0
    )
}

/// Formats a number with separators: `12,345`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped = [0.4, 999.0, 1_000.0, 1_234_567.0, -123.0, -1_234.0].map(thousands);
        assert_eq!(
            grouped,
            ["0", "999", "1,000", "1,234,567", "-123", "-1,234"]
        );
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["a", "b"]);
        table.row(["x", "1"]);
        assert_eq!(table.render(), "| a | b |\n|---|--:|\n| x | 1 |\n");
    }
}
