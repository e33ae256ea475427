//! A ring that runs down to the idle timeout, without a script too. The script only counts along.

use std::time::Duration;

use maud::{Markup, html};

use crate::page::snapshot::Live;

pub(super) fn ring(live: Option<&Live>) -> Markup {
    let millis = live.map(|live| live.remaining.as_millis());
    html! {
        div.ring data-idle-ms=[millis] {
            svg viewBox="0 0 120 120" role="timer" aria-label="Time until the idle timeout" {
                circle.track cx="60" cy="60" r="52" {}
                @if let Some(live) = live {
                    @let end = format!("{}ms", live.remaining.as_millis());
                    circle.left cx="60" cy="60" r="52" pathLength="100" stroke-dasharray="100 100" transform="rotate(-90 60 60)" {
                        animate attributeName="stroke-dashoffset" from="0" to="100" dur=(end) fill="freeze" {}
                    }
                    text #left .number x="60" y="63" { (left(live.remaining)) (at(&end, "hidden")) }
                    text #until x="60" y="78" { "until idle" (at(&end, "hidden")) }
                    text.number.over x="60" y="67" visibility="hidden" { "over" (at(&end, "visible")) }
                } @else {
                    text #left .number x="60" y="63" { "–" }
                    text x="60" y="78" { "no session" }
                }
            }
        }
    }
}

/// Shows or hides a text at the idle timeout.
fn at(end: &str, visibility: &str) -> Markup {
    html! { set attributeName="visibility" to=(visibility) begin=(end) fill="freeze" {} }
}

/// The time that is left, short enough for the ring, in whole seconds or minutes: `20 s`, `19:59`,
/// `11:59 h`.
fn left(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1000);
    let minutes = seconds / 60;
    match minutes {
        0 => format!("{seconds} s"),
        1..60 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{}:{:02} h", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (20, "20 s"),
            (59, "59 s"),
            (60, "1:00"),
            (599, "9:59"),
            (600, "10:00"),
            (1_199, "19:59"),
            (3_599, "59:59"),
            (3_600, "1:00 h"),
            (43_199, "11:59 h"),
            (43_200, "12:00 h"),
            (400 * 86_400, "9600:00 h"),
        ] {
            assert_eq!(left(Duration::from_secs(seconds)), text);
        }
        assert_eq!(left(Duration::from_millis(19_001)), "20 s");
    }
}
