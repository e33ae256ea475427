//! What a record keeps of the device that its session is bound to: bytes that stores don't read.
//!
//! Only the layer reads them (feature `device-bound`). Without the feature no record has any.

use bytes::Bytes;

/// The most bytes that a record keeps of a device: the largest key (RSA, 4,096 bits) takes 512 of
/// them, the common one (P-256) 64.
pub const MAX_DEVICE_BYTES: usize = 848;

/// The bytes in a record. A type of its own, so that a record holds one word.
#[cfg(feature = "device-bound")]
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Device(pub(super) Box<[u8]>);

#[cfg(feature = "device-bound")]
impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Device(..)")
    }
}

/// Replaces what a record keeps of a device, if it is still what the layer has read.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceChange {
    expected: Option<Bytes>,
    new: Bytes,
}

impl DeviceChange {
    #[cfg(feature = "device-bound")]
    pub(crate) fn new(expected: Option<&[u8]>, new: impl Into<Bytes>) -> Self {
        Self {
            expected: expected.map(Bytes::copy_from_slice),
            new: new.into(),
        }
    }

    /// Returns the bytes that the record must have for the delta to be applied; `None`: it must
    /// have none.
    #[must_use]
    pub fn expected(&self) -> Option<&[u8]> {
        self.expected.as_deref()
    }

    /// Returns the bytes that the record has afterwards: 1 to [`MAX_DEVICE_BYTES`].
    #[must_use]
    pub fn new_bytes(&self) -> &[u8] {
        &self.new
    }
}

impl std::fmt::Debug for DeviceChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceChange(..)")
    }
}
