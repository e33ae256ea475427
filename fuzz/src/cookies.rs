//! Properties of the reader of `Cookie` headers.

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The reader finds what the plain definition says, as slices of the header, in one header as in
/// many.
pub fn cookies(data: &[u8]) {
    let expected: Vec<(&[u8], &[u8])> = data
        .split(|byte| *byte == b';')
        .filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            Some((trim(&pair[..at]), trim(&pair[at + 1..])))
        })
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let read: Vec<(&[u8], &[u8])> = kr_cookie::parse(data)
        .map(|cookie| (cookie.name, cookie.value))
        .collect();
    assert_eq!(read, expected);
    let whole = data.as_ptr_range();
    for cookie in kr_cookie::parse(data) {
        for slice in [cookie.name, cookie.value, cookie.unquoted()] {
            let part = slice.as_ptr_range();
            assert!(whole.start <= part.start && part.end <= whole.end);
        }
        assert!(!format!("{cookie:?}").contains('\n'));
    }
    // Each cookie has its own header, as HTTP/2 may send them.
    let mut headers = HeaderMap::new();
    for pair in data.split(|byte| *byte == b';') {
        let Ok(value) = HeaderValue::from_bytes(pair) else {
            return;
        };
        headers.append(COOKIE, value);
    }
    let split: Vec<(&[u8], &[u8])> = kr_cookie::cookies(&headers)
        .map(|cookie| (cookie.name, cookie.value))
        .collect();
    assert_eq!(split, expected);
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| !b" \t".contains(byte);
    let Some(start) = bytes.iter().position(is_kept) else {
        return b"";
    };
    let end = bytes.iter().rposition(is_kept).map_or(start, |end| end + 1);
    &bytes[start..end]
}
