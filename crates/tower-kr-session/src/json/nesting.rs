//! Follows what is written: how deep it is nested, and whether a `null` is among it.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// The deepest nesting that serde_json reads.
const DEEPEST: u32 = 127;

#[derive(Default)]
pub(super) struct Nesting {
    depth: u32,
    pub(super) wrote_null: bool,
}

/// Writes compact JSON, and fails where it is nested too deep.
pub(super) struct Watch<'a>(&'a mut Nesting);

impl Nesting {
    pub(super) const fn watch(&mut self) -> Watch<'_> {
        Watch(self)
    }

    fn enter(&mut self) -> io::Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    const fn leave(&mut self) {
        self.depth -= 1;
    }
}

impl Formatter for Watch<'_> {
    fn write_null<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.wrote_null = true;
        writer.write_all(super::NULL)
    }

    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter()?;
        writer.write_all(b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave();
        writer.write_all(b"]")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter()?;
        writer.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave();
        writer.write_all(b"}")
    }
}
