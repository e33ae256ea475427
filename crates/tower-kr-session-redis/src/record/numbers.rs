//! Numbers as the scripts use them: 64-bit floats, little-endian. Milliseconds are exact for
//! 285,000 years.

use std::time::Duration;

use tower_kr_session::Timestamp;

pub(crate) const NUMBER: usize = 8;

/// The largest integer, as a float. Anything larger is written as this, and read as `i64::MAX`.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;

pub(crate) const fn time(time: Timestamp) -> [u8; NUMBER] {
    (time.as_unix_millis() as f64).to_le_bytes()
}

pub(crate) fn known_time(known: Option<Timestamp>) -> [u8; NUMBER] {
    known.map_or(f64::INFINITY.to_le_bytes(), time)
}

pub(crate) const fn duration(duration: Duration) -> [u8; NUMBER] {
    let millis = duration.as_millis() as f64;
    millis.min(LARGEST).to_le_bytes()
}

pub(crate) const fn size(bytes: u64) -> [u8; NUMBER] {
    let bytes = bytes as f64;
    bytes.min(LARGEST).to_le_bytes()
}

/// Takes a number off the front; `None` if there is none, or it can't be a time.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first_chunk()?;
    let number = f64::from_le_bytes(*first);
    *bytes = rest;
    (number.abs() <= LARGEST).then_some(number as i64)
}

pub(crate) fn take_time(bytes: &mut &[u8]) -> Option<Timestamp> {
    take(bytes).map(Timestamp::from_unix_millis)
}

/// Takes a time off the front that may be unknown: an infinite one.
pub(crate) fn take_known_time(bytes: &mut &[u8]) -> Option<Option<Timestamp>> {
    match bytes.split_first_chunk() {
        Some((first, rest)) if f64::from_le_bytes(*first) == f64::INFINITY => {
            *bytes = rest;
            Some(None)
        }
        _ => take_time(bytes).map(Some),
    }
}

pub(crate) fn take_duration(bytes: &mut &[u8]) -> Option<Duration> {
    let millis = u64::try_from(take(bytes)?).ok()?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_exact_and_the_largest_stay_the_largest() {
        for millis in [
            0,
            1,
            -1,
            1_755_100_800_000,
            1 << 53,
            -(1 << 53),
            i64::MAX,
            i64::MIN,
        ] {
            let at = Timestamp::from_unix_millis(millis);
            assert_eq!(take_time(&mut &time(at)[..]), Some(at));
        }
        let forever = Duration::from_millis(i64::MAX as u64);
        for (written, read) in [
            (Duration::ZERO, Duration::ZERO),
            (
                Duration::from_millis(1_200_000),
                Duration::from_millis(1_200_000),
            ),
            (Duration::MAX, forever),
        ] {
            assert_eq!(take_duration(&mut &duration(written)[..]), Some(read));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19] {
            assert_eq!(take(&mut &bad.to_le_bytes()[..]), None);
        }
        assert_eq!(take(&mut &[0; 7][..]), None);
        assert_eq!(take_duration(&mut &(-1.0_f64).to_le_bytes()[..]), None);
    }
}
