//! Renders `Set-Cookie` headers.

use std::{fmt::Write, time::Duration};

use http::HeaderValue;
use time::OffsetDateTime;

use crate::{error::CookieError, policy::SecurePolicy, syntax};

/// A checked cookie that renders `Set-Cookie` headers for values.
///
/// [`CookieBuilder::build`](crate::CookieBuilder::build) makes it and renders the constant part, so
/// that each header costs one allocation of its exact size.
#[derive(Clone, Debug)]
pub struct CookieTemplate {
    pub(crate) name: String,
    /// Starts with `; `.
    pub(crate) attributes: String,
    pub(crate) secure_policy: SecurePolicy,
    pub(crate) max_age: Option<Duration>,
    pub(crate) expires: Option<Duration>,
    pub(crate) essential: bool,
}

impl CookieTemplate {
    /// Returns the name of the cookie.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns when the cookie is `Secure`.
    pub fn secure_policy(&self) -> SecurePolicy {
        self.secure_policy
    }

    /// Returns whether the site can't work without the cookie, a mark for the application.
    pub fn is_essential(&self) -> bool {
        self.essential
    }

    /// Returns the Max-Age of the builder.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Returns whether the cookie is `Secure` in a response over HTTPS, or over plain HTTP, by the
    /// table of [`SecurePolicy`].
    pub fn is_secure(&self, https: bool) -> bool {
        self.secure_policy.is_secure(https)
    }

    /// Renders the `Set-Cookie` header for a value.
    ///
    /// `https` is whether the request came over HTTPS. `now` is used only if
    /// [`expires`](crate::CookieBuilder::expires) was set. The header is marked as sensitive, so
    /// that `Debug` hides it and HPACK doesn't index it.
    ///
    /// The value isn't encoded. Quotes around it are refused too.
    ///
    /// # Errors
    ///
    /// - [`CookieError::ValueCharacter`]: the value has a character that isn't a `cookie-octet`
    ///   (RFC 6265bis, section 4.1.1)
    /// - [`CookieError::TooLarge`]: name and value are over 4,096 bytes together
    /// - [`CookieError::ExpiresOutOfRange`]: the clock is wrong by centuries
    ///
    /// ```
    /// use kr_cookie::{CookieBuilder, SecurePolicy};
    /// use time::OffsetDateTime;
    ///
    /// let template = CookieBuilder::new("id")
    ///     .secure_policy(SecurePolicy::SameAsRequest)
    ///     .build()?;
    /// let now = OffsetDateTime::UNIX_EPOCH;
    /// assert_eq!(template.render("abc", true, now)?, "id=abc; Secure; Path=/; HttpOnly; SameSite=Lax");
    /// assert_eq!(template.render("abc", false, now)?, "id=abc; Path=/; HttpOnly; SameSite=Lax");
    /// # Ok::<(), kr_cookie::CookieError>(())
    /// ```
    pub fn render(
        &self,
        value: &str,
        https: bool,
        now: OffsetDateTime,
    ) -> Result<HeaderValue, CookieError> {
        self.render_value(value, https, now, self.max_age)
    }

    /// Returns whether the rendered header depends on the time, because the cookie has an Expires
    /// attribute.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kr_cookie::CookieBuilder;
    ///
    /// let cookie = CookieBuilder::new("id");
    /// assert!(!cookie.clone().build()?.depends_on_time());
    /// assert!(cookie.expires(Duration::from_secs(60)).build()?.depends_on_time());
    /// # Ok::<(), kr_cookie::CookieError>(())
    /// ```
    #[must_use]
    pub const fn depends_on_time(&self) -> bool {
        self.expires.is_some()
    }

    /// Renders the `Set-Cookie` header for a value with another Max-Age than the template's.
    ///
    /// For a cookie that persists in some responses only, such as "remember me", or that ends at a
    /// fixed time.
    ///
    /// # Errors
    ///
    /// The same as [`render`](Self::render), and
    /// - [`CookieError::ZeroLifetime`]: use [`removal`](Self::removal) instead
    /// - [`CookieError::LifetimeTooLong`]: over [`LIFETIME_LIMIT`](crate::LIFETIME_LIMIT)
    ///
    /// ```
    /// use std::time::Duration;
    /// use kr_cookie::CookieBuilder;
    /// use time::OffsetDateTime;
    ///
    /// let template = CookieBuilder::new("id").build()?;
    /// let week = Duration::from_secs(7 * 24 * 60 * 60);
    /// let header = template.render_with_max_age("abc", true, OffsetDateTime::UNIX_EPOCH, week)?;
    /// assert_eq!(header, "id=abc; Max-Age=604800; Secure; Path=/; HttpOnly; SameSite=Lax");
    /// # Ok::<(), kr_cookie::CookieError>(())
    /// ```
    pub fn render_with_max_age(
        &self,
        value: &str,
        https: bool,
        now: OffsetDateTime,
        max_age: Duration,
    ) -> Result<HeaderValue, CookieError> {
        syntax::check_lifetime("Max-Age", max_age)?;
        self.render_value(value, https, now, Some(max_age))
    }

    /// Renders the `Set-Cookie` header that makes the browser delete the cookie.
    ///
    /// Repeats Path, Domain and `Partitioned`, since a browser deletes only the cookie that they
    /// name (RFC 6265bis, section 5.7). Repeats `Secure`, without which a response can't delete a
    /// `Secure` cookie, and which prefixes and `SameSite=None` require in a removal too. Both
    /// Max-Age and Expires are in the past.
    ///
    /// ```
    /// let template = kr_cookie::CookieBuilder::new("id").path("/app").build()?;
    /// assert_eq!(
    ///     template.removal(true),
    ///     "id=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; Path=/app; HttpOnly; SameSite=Lax"
    /// );
    /// # Ok::<(), kr_cookie::CookieError>(())
    /// ```
    pub fn removal(&self, https: bool) -> HeaderValue {
        self.assemble("", https, Some(0), Some(OffsetDateTime::UNIX_EPOCH))
    }

    fn render_value(
        &self,
        value: &str,
        https: bool,
        now: OffsetDateTime,
        max_age: Option<Duration>,
    ) -> Result<HeaderValue, CookieError> {
        check_value(value)?;
        syntax::check_size(&self.name, value)?;
        let expires = match self.expires {
            Some(expires) => Some(add_rounding_up(now, expires)?),
            None => None,
        };
        let max_age = max_age.map(|age| age.as_secs() + u64::from(age.subsec_nanos() > 0));
        let mut header = self.assemble(value, https, max_age, expires);
        header.set_sensitive(true);
        Ok(header)
    }

    /// Concatenates the parts, all of them checked.
    fn assemble(
        &self,
        value: &str,
        https: bool,
        max_age: Option<u64>,
        expires: Option<OffsetDateTime>,
    ) -> HeaderValue {
        const MAX_AGE: &str = "; Max-Age=";
        const EXPIRES: &str = "; Expires=";
        let secure = if self.is_secure(https) {
            "; Secure"
        } else {
            ""
        };

        // Exact: a string with spare capacity would be copied once more on its way into the header.
        let capacity = self.name.len()
            + 1
            + value.len()
            + max_age.map_or(0, |seconds| MAX_AGE.len() + count_digits(seconds))
            + expires.map_or(0, |_| EXPIRES.len() + DATE_LENGTH)
            + secure.len()
            + self.attributes.len();
        let mut text = String::with_capacity(capacity);
        text.push_str(&self.name);
        text.push('=');
        text.push_str(value);
        if let Some(seconds) = max_age {
            text.push_str(MAX_AGE);
            push_display(&mut text, format_args!("{seconds}"));
        }
        if let Some(date) = expires {
            text.push_str(EXPIRES);
            push_date(&mut text, date);
        }
        text.push_str(secure);
        text.push_str(&self.attributes);
        debug_assert_eq!(text.len(), capacity, "the capacity was not exact");
        HeaderValue::try_from(text).expect("every part was checked to be printable ASCII")
    }
}

fn check_value(value: &str) -> Result<(), CookieError> {
    // Without a branch for each byte the loop is vectorised: 1,200 instructions fewer for a value
    // of 64 bytes.
    let legal = |all, byte| all & syntax::is_cookie_octet(byte);
    if value.bytes().fold(true, legal) {
        return Ok(());
    }
    let Some((position, character)) = syntax::find_illegal(value, syntax::is_cookie_octet) else {
        return Ok(());
    };
    let class = match character {
        ' ' | '\t' => "white space",
        '"' => "a quote",
        ',' => "a comma",
        ';' => "a semicolon",
        '\\' => "a backslash",
        character if character.is_ascii() => "a control character",
        _ => "a character beyond ASCII",
    };
    Err(CookieError::ValueCharacter { class, position })
}

/// Adds in UTC and rounds up, so that the cookie never ends early.
fn add_rounding_up(now: OffsetDateTime, age: Duration) -> Result<OffsetDateTime, CookieError> {
    let seconds = i64::try_from(age.as_secs()).map_err(|_| CookieError::ExpiresOutOfRange)?;
    let nanoseconds = now.nanosecond() + age.subsec_nanos();
    let carry = i64::from(nanoseconds.div_ceil(1_000_000_000));
    let date = OffsetDateTime::from_unix_timestamp(now.unix_timestamp() + seconds + carry)
        .map_err(|_| CookieError::ExpiresOutOfRange)?;
    if !(1601..=9999).contains(&date.year()) {
        return Err(CookieError::ExpiresOutOfRange);
    }
    Ok(date)
}

/// The length of every `IMF-fixdate`.
const DATE_LENGTH: usize = "Thu, 01 Jan 1970 00:00:00 GMT".len();

/// Writes a UTC date as `IMF-fixdate` (RFC 9110, section 5.6.7), the only format that servers may
/// send.
fn push_date(text: &mut String, date: OffsetDateTime) {
    const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let weekday = WEEKDAYS[usize::from(date.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(date.month())) - 1];
    push_display(
        text,
        format_args!(
            "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
            date.day(),
            date.year(),
            date.hour(),
            date.minute(),
            date.second(),
        ),
    );
}

fn push_display(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string can't fail");
}

fn count_digits(number: u64) -> usize {
    number
        .checked_ilog10()
        .map_or(1, |exponent| exponent as usize + 1)
}
