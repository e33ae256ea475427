//! Reads bytes as damage to something valid: random bytes alone are rarely close enough to be
//! interesting.

/// Steps of damage, each read from the next bytes of the input.
pub(crate) struct Damage<'a>(pub(crate) &'a [u8]);

impl<'a> Damage<'a> {
    /// Returns the next byte, or zero after the end.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// Returns an index below `length`, which must not be zero.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % length
    }

    /// Returns up to 63 of the next bytes.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte() % 64).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// Returns a number, mostly one at an end of its range.
    pub(crate) fn number(&mut self) -> i64 {
        match self.byte() % 8 {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => -1,
            3 => 0,
            4 => 1,
            5 => i64::from(self.byte()),
            _ => (0..8).fold(0, |number, _| number << 8 | i64::from(self.byte())),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a copy of `valid` after all steps: bytes changed, inserted, removed, cut off.
    pub(crate) fn to(mut self, valid: &[u8]) -> Vec<u8> {
        let mut bytes = valid.to_vec();
        while !self.is_over() && !bytes.is_empty() {
            let at = self.index(bytes.len());
            match self.byte() % 8 {
                0..4 => bytes[at] = self.byte(),
                4 => bytes.insert(at, self.byte()),
                5 => drop(bytes.remove(at)),
                6 => drop(bytes.splice(at..at, self.bytes().iter().copied())),
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}
