//! Encodes a record as one run of bytes, for a store that keeps it as one value.

use std::time::Duration;

#[cfg(feature = "device-bound")]
use super::device::Device;
use super::{
    clock::Timestamp,
    device::MAX_DEVICE_BYTES,
    id::SecretHash,
    label::{Label, MAX_LABEL_BYTES},
    limits::IdleLimit,
    owner::{MAX_OWNER_BYTES, Owner},
    record::{Record, Retired},
    values::{CorruptValues, Values},
};

/// The latest version of the format.
const FORMAT_VERSION: u8 = if cfg!(feature = "device-bound") {
    WITH_DEVICE
} else {
    LABELLED
};

/// The version of a record of a session that is bound to a device, or may become so.
const WITH_DEVICE: u8 = 3;

/// The version of a record with a label.
const LABELLED: u8 = 2;

/// The version of a record without either. The lowest one that is possible is written, so that
/// servers of an earlier release read it while a later one is rolled out.
const UNLABELLED: u8 = 1;

/// The bytes that every record takes: version, flags, secret, three times and three limits.
const HEAD: usize = 2 + 32 + 3 * 8 + 3 * 8;
const RETIRED: usize = 32 + 8;
const TIME: usize = 8;
const TEXT_LENGTH: usize = 2;

/// The most bytes that a device takes.
const DEVICE: usize = if cfg!(feature = "device-bound") {
    TEXT_LENGTH + MAX_DEVICE_BYTES
} else {
    0
};

/// The most bytes that a record takes besides its values.
const LARGEST_HEAD: usize = HEAD
    + RETIRED
    + TIME
    + (TEXT_LENGTH + MAX_OWNER_BYTES)
    + (TEXT_LENGTH + MAX_LABEL_BYTES)
    + DEVICE;

/// Values take at most this many times their own size, and four bytes: a key of one byte with an
/// empty value takes seven.
const WORST_EXPANSION: u64 = 7;

/// Returns the largest session, in bytes of keys and values, whose encoded record has at most
/// `bytes`.
pub(crate) const fn largest_session(bytes: u64) -> u64 {
    bytes.saturating_sub(LARGEST_HEAD as u64 + 4) / WORST_EXPANSION
}

impl Record {
    /// Encodes the record as one run of bytes, for a store that keeps it as one value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_length());
        let flags = u8::from(self.retired.is_some())
            | u8::from(self.authenticated_at.is_some()) << 1
            | u8::from(self.owner.is_some()) << 2
            | u8::from(self.persistent) << 3
            | u8::from(self.label.is_some()) << 4
            | u8::from(self.device().is_some()) << 5;
        let version = match (self.device(), &self.label) {
            (Some(_), _) => WITH_DEVICE,
            (None, Some(_)) => LABELLED,
            (None, None) => UNLABELLED,
        };
        bytes.extend([version, flags]);
        bytes.extend(self.secret.as_bytes());
        for time in [self.created_at, self.idle_deadline, self.absolute_deadline] {
            bytes.extend(time.as_unix_millis().to_le_bytes());
        }
        for limit in [
            self.idle.timeout,
            self.idle.touch_interval,
            self.absolute_timeout,
        ] {
            let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            bytes.extend(millis.to_le_bytes());
        }
        if let Some(retired) = &self.retired {
            bytes.extend(retired.secret.as_bytes());
            bytes.extend(retired.at.as_unix_millis().to_le_bytes());
        }
        if let Some(time) = self.authenticated_at {
            bytes.extend(time.as_unix_millis().to_le_bytes());
        }
        for text in self.texts().into_iter().flatten() {
            write_run(&mut bytes, text.as_bytes());
        }
        if let Some(device) = self.device() {
            write_run(&mut bytes, device);
        }
        bytes.extend(self.values.as_bytes());
        bytes
    }

    /// Returns the owner and the label.
    fn texts(&self) -> [Option<&str>; 2] {
        [
            self.owner.as_ref().map(Owner::as_str),
            self.label.as_deref().map(Label::as_str),
        ]
    }

    /// Returns the exact length, so that the bytes can be shared afterwards without a copy or spare
    /// room.
    fn encoded_length(&self) -> usize {
        let texts = self.texts().into_iter().flatten();
        HEAD + self.retired.as_ref().map_or(0, |_| RETIRED)
            + self.authenticated_at.map_or(0, |_| TIME)
            + texts.map(|text| TEXT_LENGTH + text.len()).sum::<usize>()
            + self.device().map_or(0, |device| TEXT_LENGTH + device.len())
            + self.values.as_bytes().len()
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError::UnknownVersion`] for a record of a later release: the store keeps it and
    /// answers with [`StoreError::UnknownVersion`](crate::StoreError::UnknownVersion).
    /// [`DecodeError::Corrupt`] for anything else: the store keeps it, logs it and treats it as
    /// missing.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let [version] = reader.array()?;
        if !(UNLABELLED..=FORMAT_VERSION).contains(&version) {
            return Err(DecodeError::UnknownVersion { version });
        }
        let [flags] = reader.array()?;
        let has = |bit: u8| flags & 1 << bit != 0;
        let lowest = match (has(5), has(4)) {
            (true, _) => WITH_DEVICE,
            (false, true) => LABELLED,
            (false, false) => UNLABELLED,
        };
        if flags >= 1 << 6 || version != lowest {
            return Err(DecodeError::Corrupt);
        }
        let secret = SecretHash::from_bytes(reader.array()?);
        let created_at = reader.time()?;
        let idle_deadline = reader.time()?;
        let absolute_deadline = reader.time()?;
        let idle = IdleLimit {
            timeout: reader.limit()?,
            touch_interval: reader.limit()?,
        };
        let absolute_timeout = reader.limit()?;
        let retired = if has(0) {
            Some(Box::new(Retired {
                secret: SecretHash::from_bytes(reader.array()?),
                at: reader.time()?,
            }))
        } else {
            None
        };
        let authenticated_at = if has(1) { Some(reader.time()?) } else { None };
        let owner = if has(2) {
            Some(Owner::new(reader.text()?).map_err(|_| DecodeError::Corrupt)?)
        } else {
            None
        };
        let label = if has(4) {
            let label = Label::new(reader.text()?).map_err(|_| DecodeError::Corrupt)?;
            Some(Box::new(label))
        } else {
            None
        };
        let device = if has(5) { Some(reader.run()?) } else { None };
        let mut record = Self {
            secret,
            retired,
            owner,
            label,
            created_at,
            authenticated_at,
            idle,
            absolute_timeout,
            persistent: has(3),
            idle_deadline,
            absolute_deadline,
            values: Values::decode(reader.0)?,
            revision: 0,
            #[cfg(feature = "device-bound")]
            device: None,
        };
        if let Some(device) = device {
            record.set_device(device)?;
        }
        Ok(record)
    }

    /// Sets what a store kept of the [device](Self::device).
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] if there are no bytes, or more than [`MAX_DEVICE_BYTES`];
    /// [`DecodeError::UnknownVersion`] without the feature `device-bound`: the store keeps the
    /// record, and it opens nothing.
    pub fn set_device(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.is_empty() || bytes.len() > MAX_DEVICE_BYTES {
            return Err(DecodeError::Corrupt);
        }
        #[cfg(feature = "device-bound")]
        {
            self.device = Some(Box::new(Device(bytes.into())));
            Ok(())
        }
        #[cfg(not(feature = "device-bound"))]
        Err(DecodeError::UnknownVersion {
            version: WITH_DEVICE,
        })
    }
}

/// Error returned for bytes that aren't a record of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A later release wrote the record.
    #[error(
        "session record of format version {version}; this release reads up to version \
         {FORMAT_VERSION}"
    )]
    UnknownVersion {
        /// The format version of the record.
        version: u8,
    },
    /// The bytes aren't a record.
    #[error("corrupt session record")]
    Corrupt,
}

impl From<CorruptValues> for DecodeError {
    fn from(_: CorruptValues) -> Self {
        Self::Corrupt
    }
}

/// Writes a run of bytes after its length.
fn write_run(bytes: &mut Vec<u8>, run: &[u8]) {
    let length = u16::try_from(run.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_le_bytes());
    bytes.extend(run);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn run(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        str::from_utf8(self.run()?).map_err(|_| DecodeError::Corrupt)
    }

    fn time(&mut self) -> Result<Timestamp, DecodeError> {
        Ok(Timestamp::from_unix_millis(i64::from_le_bytes(
            self.array()?,
        )))
    }

    fn limit(&mut self) -> Result<Duration, DecodeError> {
        Ok(Duration::from_millis(u64::from_le_bytes(self.array()?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn records() -> impl Strategy<Value = Record> {
        (
            any::<([u8; 32], i64, i64, i64, u32, u32, u32, bool)>(),
            option::of(any::<([u8; 32], i64)>()),
            option::of(".{1,20}"),
            option::of(".{1,20}"),
            option::of(any::<i64>()),
            vec(("[a-z]{1,5}", vec(any::<u8>(), 0..20)), 0..5),
        )
            .prop_map(
                |(head, retired, owner, label, authenticated_at, values)| Record {
                    secret: SecretHash::from_bytes(head.0),
                    retired: retired.map(|(secret, at)| {
                        Box::new(Retired {
                            secret: SecretHash::from_bytes(secret),
                            at: Timestamp::from_unix_millis(at),
                        })
                    }),
                    owner: owner.map(|owner| Owner::new(&owner).unwrap()),
                    label: label.map(|label| Box::new(Label::new(&label).unwrap())),
                    created_at: Timestamp::from_unix_millis(head.1),
                    authenticated_at: authenticated_at.map(Timestamp::from_unix_millis),
                    idle: IdleLimit {
                        timeout: Duration::from_millis(head.4.into()),
                        touch_interval: Duration::from_millis(head.5.into()),
                    },
                    absolute_timeout: Duration::from_millis(head.6.into()),
                    persistent: head.7,
                    idle_deadline: Timestamp::from_unix_millis(head.2),
                    absolute_deadline: Timestamp::from_unix_millis(head.3),
                    values: values.into_iter().collect(),
                    revision: 0,
                    #[cfg(feature = "device-bound")]
                    device: None,
                },
            )
    }

    #[cfg(feature = "device-bound")]
    proptest! {
        #[test]
        fn the_encoding_round_trips_with_a_device(
            record in records(),
            device in vec(any::<u8>(), 1..=MAX_DEVICE_BYTES),
        ) {
            let mut bound = record.clone();
            bound.set_device(&device).unwrap();
            let bytes = bound.encode();
            prop_assert_eq!(bytes[0], WITH_DEVICE);
            prop_assert_eq!(bytes.len(), bound.encoded_length());
            let decoded = Record::decode(&bytes).unwrap();
            prop_assert_eq!(decoded.device(), Some(&device[..]));
            prop_assert_eq!(decoded, bound);
            prop_assert_ne!(record.encode()[0], WITH_DEVICE, "an earlier release reads it");
        }
    }

    #[cfg(not(feature = "device-bound"))]
    #[test]
    fn a_record_with_a_device_is_kept_by_who_cannot_read_it() {
        let secret = SecretHash::from_bytes([1; 32]);
        let idle = IdleLimit::new(Duration::from_secs(20));
        let now = Timestamp::from_unix_millis(0);
        let mut record = Record::new(secret, now, idle, Duration::from_secs(60));
        let unknown = DecodeError::UnknownVersion { version: 3 };
        assert_eq!(record.set_device(b"x"), Err(unknown));
        let mut bytes = record.encode();
        bytes[0] = 3;
        assert_eq!(Record::decode(&bytes), Err(unknown));
    }

    #[test]
    fn a_device_has_a_bounded_number_of_bytes() {
        let secret = SecretHash::from_bytes([1; 32]);
        let idle = IdleLimit::new(Duration::from_secs(20));
        let now = Timestamp::from_unix_millis(0);
        let mut record = Record::new(secret, now, idle, Duration::from_secs(60));
        for bad in [0, MAX_DEVICE_BYTES + 1] {
            let set = record.set_device(&vec![1; bad]);
            assert_eq!(set, Err(DecodeError::Corrupt), "{bad}");
        }
        assert_eq!(record.device(), None);
    }

    proptest! {
        #[test]
        fn the_encoding_round_trips(record in records()) {
            let bytes = record.encode();
            prop_assert_eq!(bytes.len(), record.encoded_length());
            prop_assert_eq!(Record::decode(&bytes), Ok(record));
        }

        #[test]
        fn decoding_damaged_records_never_panics(
            record in records(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = record.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Record::decode(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = Record::decode(&bytes);
        }
    }

    #[test]
    fn the_largest_session_fits_whatever_its_keys_and_owner() {
        let secret = SecretHash::from_bytes([1; 32]);
        let (now, idle) = (
            Timestamp::from_unix_millis(0),
            IdleLimit::new(Duration::MAX),
        );
        let mut record = Record::new(secret, now, idle, Duration::MAX);
        record.retired = Some(Box::new(Retired { secret, at: now }));
        record.owner = Some(Owner::new(&"x".repeat(MAX_OWNER_BYTES)).unwrap());
        record.label = Some(Box::new(Label::new(&"x".repeat(MAX_LABEL_BYTES)).unwrap()));
        record.authenticated_at = Some(now);
        #[cfg(feature = "device-bound")]
        record.set_device(&[1; MAX_DEVICE_BYTES]).unwrap();
        let names: Vec<String> = (' '..='~').map(String::from).collect();
        record.values = names.iter().map(|name| (name, "")).collect();
        let bytes = record.encode().len() as u64;
        assert_eq!(largest_session(bytes), record.values.size());
        assert_eq!(largest_session(0), 0);
    }

    #[test]
    fn a_later_version_is_told_from_a_corrupt_record() {
        let secret = SecretHash::from_bytes([1; 32]);
        let idle = IdleLimit::new(Duration::from_secs(20));
        let now = Timestamp::from_unix_millis(0);
        let record = Record::new(secret, now, idle, Duration::from_secs(60));
        let mut bytes = record.encode();
        assert_eq!(bytes[0], UNLABELLED, "an earlier release reads it");
        bytes[0] = 9;
        assert_eq!(
            Record::decode(&bytes),
            Err(DecodeError::UnknownVersion { version: 9 })
        );
        bytes[0] = 0;
        assert_eq!(
            Record::decode(&bytes),
            Err(DecodeError::UnknownVersion { version: 0 })
        );
        assert_eq!(Record::decode(&[]), Err(DecodeError::Corrupt));
    }
}
