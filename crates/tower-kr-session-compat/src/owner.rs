//! Who a session belongs to, read from its values.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::values::Data;

/// Reads the user from the values of a session.
pub(crate) type UserOf = Arc<dyn Fn(&Data) -> Option<String> + Send + Sync>;

/// The key under which axum-login keeps the user, unless it was told another one.
const AXUM_LOGIN_KEY: &str = "axum-login.data";

/// Returns the id of the user whom axum-login signed in, for `with_owner` of the layers.
///
/// It reads the values under axum-login's default key, `axum-login.data`. An id that is text is the
/// owner as it is; of any other one the owner is its JSON: `42` for an integer.
///
/// ```
/// use serde_json::json;
/// use tower_kr_session_compat::axum_login_user;
///
/// let data = json!({"axum-login.data": {"user_id": 42, "auth_hash": [1, 2]}});
/// let data = serde_json::from_value(data)?;
/// assert_eq!(axum_login_user(&data).as_deref(), Some("42"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn axum_login_user(data: &HashMap<String, Value>) -> Option<String> {
    match data.get(AXUM_LOGIN_KEY)?.get("user_id")? {
        Value::Null => None,
        Value::String(id) => Some(id.clone()),
        id => Some(id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_of_every_kind_are_read_and_none_is_nobody() {
        let user = |id: Value| {
            let data = json!({"axum-login.data": {"user_id": id, "auth_hash": null}});
            axum_login_user(&serde_json::from_value(data).unwrap())
        };
        assert_eq!(user(json!("max")).as_deref(), Some("max"));
        assert_eq!(user(json!(42)).as_deref(), Some("42"));
        assert_eq!(user(json!({"a": 1})).as_deref(), Some("{\"a\":1}"));
        assert_eq!(user(Value::Null), None);
        assert_eq!(axum_login_user(&Data::new()), None);
        let other = Data::from([(AXUM_LOGIN_KEY.to_owned(), json!(1))]);
        assert_eq!(axum_login_user(&other), None);
    }
}
