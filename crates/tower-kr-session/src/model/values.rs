//! The values of a session: sorted, flat, shared and immutable.
//!
//! One allocation holds all entries. So a snapshot costs a reference count, a lookup is a binary
//! search, and a store keeps the same bytes:
//!
//! ```text
//! count: u32 | end of each entry: count x u32 | entries: key length u16, key, value
//! ```
//!
//! Numbers are little-endian, ends count from the first entry, and keys ascend.

use std::{cmp::Ordering, fmt, iter, ops::Range, sync::Arc};

use super::key::KeyName;

const NUMBER: usize = size_of::<u32>();
const KEY_LENGTH: usize = size_of::<u16>();

/// A change of a key: its new value, or `None` to remove it.
pub(crate) type Edit<'a> = (&'a str, Option<&'a [u8]>);

/// The values of a session: opaque bytes by key, sorted by key. A clone shares them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(Option<Arc<[u8]>>);

impl Values {
    /// Decodes what [`as_bytes`](Self::as_bytes) returned.
    ///
    /// # Errors
    /// If the bytes are not the complete encoding of values with valid keys in ascending order.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptValues> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let flat = Flat::new(bytes).ok_or(CorruptValues)?;
        let mut previous: Option<&str> = None;
        for index in 0..flat.count {
            let (key, _) = flat.entry(index).ok_or(CorruptValues)?;
            if key.check().is_err() || previous.is_some_and(|previous| previous >= key) {
                return Err(CorruptValues);
            }
            previous = Some(key);
        }
        // Each entry starts where the one before it ends, so the sizes add up.
        let last = flat.count.checked_sub(1).and_then(|last| flat.end(last));
        if last != Some(flat.data.len()) {
            return Err(CorruptValues);
        }
        Ok(Self(Some(bytes.into())))
    }

    /// Returns the encoding of all values, empty if there are none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns the value at this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let flat = self.flat()?;
        flat.data.get(flat.find(key)?)
    }

    /// Iterates over all keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let flat = self.flat();
        (0..self.len()).filter_map(move |index| flat.and_then(|flat| flat.entry(index)))
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flat().map_or(0, |flat| flat.count)
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the size that counts against the limit of a session: the bytes of all keys and
    /// values.
    #[must_use]
    pub fn size(&self) -> u64 {
        let overhead = NUMBER + self.len() * (NUMBER + KEY_LENGTH);
        self.as_bytes().len().saturating_sub(overhead) as u64
    }

    /// Returns these values with `edits`, which are sorted by key without duplicates. With `clear`,
    /// none of the old values stays.
    pub(crate) fn edited(&self, clear: bool, edits: &[Edit<'_>]) -> Self {
        let base = if clear { None } else { self.flat() };
        let merged = || Merge {
            base,
            index: 0,
            edits,
        };
        let (count, length) = merged().fold((0, 0), |(count, length), (key, value)| {
            (count + 1, length + KEY_LENGTH + key.len() + value.len())
        });
        if count == 0 {
            return Self::default();
        }
        let head = NUMBER + count * NUMBER;
        // One allocation of the exact size, zeroed and then filled. A vector would be copied once
        // more into the `Arc`.
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, head + length).collect();
        if let Some(bytes) = Arc::get_mut(&mut bytes) {
            write_number(bytes, 0, count);
            let mut end = head;
            for (index, (key, value)) in merged().enumerate() {
                let value_start = end + KEY_LENGTH + key.len();
                let key_length = u16::try_from(key.len()).unwrap_or(u16::MAX);
                bytes[end..end + KEY_LENGTH].copy_from_slice(&key_length.to_le_bytes());
                bytes[end + KEY_LENGTH..value_start].copy_from_slice(key);
                end = value_start + value.len();
                bytes[value_start..end].copy_from_slice(value);
                write_number(bytes, NUMBER * (index + 1), end - head);
            }
        }
        Self(Some(bytes))
    }

    /// Returns the place of the value at this key in [`as_bytes`](Self::as_bytes).
    pub(crate) fn locate(&self, key: &str) -> Option<Range<usize>> {
        let flat = self.flat()?;
        let place = flat.find(key)?;
        let before = NUMBER + flat.count * NUMBER;
        Some(before + place.start..before + place.end)
    }

    /// Overwrites the value at `place`, if nobody else holds these values and the lengths are the
    /// same. Returns whether it did. It is the usual step of a counter, without an allocation.
    pub(crate) fn overwrite(&mut self, place: Range<usize>, value: &[u8]) -> bool {
        let bytes = self.0.as_mut().and_then(Arc::get_mut);
        match bytes.and_then(|bytes| bytes.get_mut(place)) {
            Some(old) if old.len() == value.len() => {
                old.copy_from_slice(value);
                true
            }
            _ => false,
        }
    }

    fn flat(&self) -> Option<Flat<'_>> {
        self.0.as_deref().and_then(Flat::new)
    }
}

/// Collects entries in any order. If a key comes twice, the last one counts.
impl<K: AsRef<str>, V: AsRef<[u8]>> FromIterator<(K, V)> for Values {
    /// Collects the entries. Invalid keys are the caller's error; [`Values::decode`] would refuse
    /// them later.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        entries.dedup_by(|(a, _), (b, _)| a.as_ref() == b.as_ref());
        let edits: Vec<Edit<'_>> = entries
            .iter()
            .map(|(key, value)| (key.as_ref(), Some(value.as_ref())))
            .collect();
        Self::default().edited(true, &edits)
    }
}

impl fmt::Debug for Values {
    /// Shows only keys and lengths, since values may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(key, value)| (key, format_args!("{} bytes", value.len()).to_string())),
            )
            .finish()
    }
}

/// Error returned for bytes that aren't the encoding of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the encoding of session values")]
pub struct CorruptValues;

fn write_number(bytes: &mut [u8], at: usize, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    bytes[at..at + NUMBER].copy_from_slice(&number.to_le_bytes());
}

/// A view of the encoding. Nothing in it panics on bad bytes.
#[derive(Clone, Copy)]
struct Flat<'a> {
    count: usize,
    ends: &'a [u8],
    data: &'a [u8],
}

impl<'a> Flat<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<NUMBER>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (ends, data) = rest.split_at_checked(count.checked_mul(NUMBER)?)?;
        Some(Self { count, ends, data })
    }

    fn end(&self, index: usize) -> Option<usize> {
        let end = self.ends.get(index * NUMBER..)?.first_chunk::<NUMBER>()?;
        usize::try_from(u32::from_le_bytes(*end)).ok()
    }

    fn raw_entry(&self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        let start = match index.checked_sub(1) {
            Some(previous) => self.end(previous)?,
            None => 0,
        };
        let entry = self.data.get(start..self.end(index)?)?;
        let (length, rest) = entry.split_first_chunk::<KEY_LENGTH>()?;
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
    }

    fn entry(&self, index: usize) -> Option<(&'a str, &'a [u8])> {
        let (key, value) = self.raw_entry(index)?;
        Some((str::from_utf8(key).ok()?, value))
    }

    /// Returns the place of the key's value among the entries. Compares bytes, which is the order
    /// of UTF-8 text too.
    fn find(&self, key: &str) -> Option<Range<usize>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, value) = self.raw_entry(middle)?;
            match found.cmp(key.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let end = self.end(middle)?;
                    return Some(end - value.len()..end);
                }
            }
        }
        None
    }
}

/// Merges old entries and edits in the order of their keys.
struct Merge<'a> {
    base: Option<Flat<'a>>,
    index: usize,
    edits: &'a [Edit<'a>],
}

impl<'a> Iterator for Merge<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let old = self.base.and_then(|flat| flat.raw_entry(self.index));
            let Some((&(key, edit), rest)) = self.edits.split_first() else {
                self.index += 1;
                return old;
            };
            if let Some((old_key, old_value)) = old {
                match old_key.cmp(key.as_bytes()) {
                    Ordering::Less => {
                        self.index += 1;
                        return Some((old_key, old_value));
                    }
                    Ordering::Equal => self.index += 1,
                    Ordering::Greater => {}
                }
            }
            self.edits = rest;
            if let Some(value) = edit {
                return Some((key.as_bytes(), value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    type Model = BTreeMap<String, Vec<u8>>;

    fn model(values: &Values) -> Model {
        values
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_vec()))
            .collect()
    }

    fn key() -> impl Strategy<Value = String> {
        "[a-cé\u{1f36a}]{1,3}"
    }

    proptest! {
        #[test]
        fn edits_do_what_a_map_does(
            start in vec((key(), vec(any::<u8>(), 0..20)), 0..12),
            steps in vec((any::<bool>(), vec((key(), option::of(vec(any::<u8>(), 0..20))), 0..6)), 0..6),
        ) {
            let mut expected: Model = start.iter().cloned().collect();
            let mut values: Values = start.into_iter().collect();
            prop_assert_eq!(model(&values), expected.clone());
            for (clear, edits) in steps {
                let edits: BTreeMap<_, _> = edits.into_iter().collect();
                if clear {
                    expected.clear();
                }
                for (key, value) in &edits {
                    match value {
                        Some(value) => expected.insert(key.clone(), value.clone()),
                        None => expected.remove(key),
                    };
                }
                let edits: Vec<Edit<'_>> =
                    edits.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
                values = values.edited(clear, &edits);
                prop_assert_eq!(model(&values), expected.clone());
                prop_assert_eq!(values.len(), expected.len());
                prop_assert_eq!(values.is_empty(), expected.is_empty());
                let size: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
                prop_assert_eq!(values.size(), size as u64);
                for (key, value) in &expected {
                    prop_assert_eq!(values.get(key), Some(value.as_slice()));
                }
                prop_assert_eq!(values.get("not there"), None);
                prop_assert_eq!(Values::decode(values.as_bytes()), Ok(values.clone()));
            }
        }

        #[test]
        fn decoding_never_panics(bytes in vec(any::<u8>(), 0..64)) {
            if let Ok(values) = Values::decode(&bytes) {
                prop_assert_eq!(values.as_bytes(), bytes.as_slice());
            }
        }

        #[test]
        fn decoding_damaged_bytes_never_panics(
            entries in vec((key(), vec(any::<u8>(), 0..8)), 1..5),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let values: Values = entries.into_iter().collect();
            let mut bytes = values.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(values) = Values::decode(&bytes) {
                prop_assert_eq!(values.iter().count(), values.len());
            }
        }
    }

    #[test]
    fn only_complete_values_with_valid_ascending_keys_are_decoded() {
        let encode = |ends: &[u32], data: &[u8]| {
            let numbers = iter::once(ends.len() as u32).chain(ends.iter().copied());
            let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
            bytes.extend(data);
            bytes
        };
        let two = b"\x01\0a1\x01\0b2";
        let values: Values = [("a", "1"), ("b", "2")].into_iter().collect();
        assert_eq!(Values::decode(&encode(&[4, 8], two)), Ok(values));
        let table: [(&str, &[u32], &[u8]); 9] = [
            ("no entries", &[], b""),
            ("a byte after the last entry", &[4, 8], b"\x01\0a1\x01\0b23"),
            ("an entry that is cut off", &[4, 9], two),
            ("an entry that ends before it starts", &[8, 4], two),
            ("an entry without a key's length", &[4, 4, 8], two),
            ("the same key twice", &[4, 8], b"\x01\0a1\x01\0a2"),
            ("keys that descend", &[4, 8], b"\x01\0b1\x01\0a2"),
            ("an empty key", &[3], b"\0\x001"),
            ("a key that isn't text", &[4], b"\x01\0\xff1"),
        ];
        for (what, ends, data) in table {
            let decoded = Values::decode(&encode(ends, data));
            assert_eq!(decoded, Err(CorruptValues), "{what}");
        }
    }

    #[test]
    fn debug_shows_keys_and_lengths() {
        let values: Values = [("a", "1"), ("b", "22")].into_iter().collect();
        let text = format!("{values:?}");
        assert_eq!(text, r#"{"a": "1 bytes", "b": "2 bytes"}"#);
    }

    #[test]
    fn overwrites_only_what_nobody_shares_and_what_fits() {
        let mut values: Values = [("a", "1"), ("b", "2")].into_iter().collect();
        let place = values.locate("b").unwrap();
        assert!(values.overwrite(place.clone(), b"3"));
        assert_eq!(values.get("b"), Some(&b"3"[..]));
        assert_eq!(values.get("a"), Some(&b"1"[..]));
        assert!(!values.overwrite(place.clone(), b"10"));
        assert_eq!(values.locate("c"), None);
        let shared = values.clone();
        assert!(!values.overwrite(place, b"4"));
        assert_eq!(shared.get("b"), Some(&b"3"[..]));
    }
}
