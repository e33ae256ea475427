//! Sessions bound to the browser's device, with `--device-binding`.

use std::time::Duration;

use maud::{Markup, html};
use tower_kr_session::{
    DeviceBinding, DeviceState, Session, SessionError, SessionLayer, Timestamp,
};

/// Below the path of the other routes. The layer answers there itself.
const PATH: &str = "/session/device";

/// Lets the layer bind sessions, if the option says how long a proof counts.
pub(crate) fn around(layer: SessionLayer, lifetime: Option<Duration>) -> SessionLayer {
    match lifetime {
        Some(lifetime) => layer.device_binding(DeviceBinding::new(PATH).proof_lifetime(lifetime)),
        None => layer,
    }
}

/// How a session stands to the browser's device, as the page shows it.
pub(crate) enum Device {
    Unbound,
    Offered,
    /// Bound; and until when the proof of this request counts.
    Bound(Option<Timestamp>),
}

impl Device {
    pub(crate) async fn read(session: &Session) -> Result<Self, SessionError> {
        Ok(match session.device().await? {
            DeviceState::Bound { .. } => Self::Bound(session.proved_until().await?),
            DeviceState::Offered => Self::Offered,
            _ => Self::Unbound,
        })
    }

    /// A line of the list of facts; nothing where no binding was offered.
    pub(crate) fn fact(&self, now: Timestamp) -> Markup {
        let until = match self {
            Self::Unbound => return html! {},
            Self::Offered => None,
            Self::Bound(until) => Some(until),
        };
        html! {
            div {
                dt { "Device" }
                dd #device {
                    @match until {
                        None => "not bound: the browser didn't take the offer",
                        Some(None) => "bound",
                        Some(Some(until)) => {
                            "bound; next proof within "
                            (until.saturating_duration_since(now).as_millis().div_ceil(1000)) " s"
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_bound_and_when_the_next_proof_is_due() {
        let now = Timestamp::from_unix_millis(1_000);
        let shown = |device: Device| device.fact(now).into_string();
        let bound = Device::Bound(Some(Timestamp::from_unix_millis(6_001)));
        assert!(shown(bound).contains("bound; next proof within 6 s"));
        assert!(shown(Device::Offered).contains("not bound"));
        assert_eq!(shown(Device::Unbound), "");
    }
}
