//! Draws a bar chart as SVG, readable on a light and on a dark page.

use std::fmt::Write;

use super::table::thousands;

/// One group of bars: a scenario.
pub struct Group {
    pub title: String,
    /// The values, in the order of the chart's series.
    pub values: Vec<f64>,
}

const WIDTH: f64 = 820.0;
const LABELS: f64 = 170.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const TOP: f64 = 74.0;
/// The room at the right for the number behind the longest bar.
const NUMBERS: f64 = 60.0;

/// The colours, equally readable on white and on near-black; ours first.
const COLOURS: [&str; 4] = ["#2f81f7", "#d9822b", "#8b7bd8", "#7d8590"];

/// Draws the groups below each other.
pub fn draw(title: &str, series: &[&str], groups: &[Group]) -> String {
    let values = groups.iter().flat_map(|group| group.values.iter().copied());
    let scale = (WIDTH - LABELS - NUMBERS) / values.fold(1.0, f64::max);
    let group_height = BAR * series.len() as f64 + GAP;
    let height = TOP + group_height * groups.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-16 -16 {} {}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <style>text {{ fill: #1f2328 }} .value {{ font-size: 11px }} .paper {{ fill: #fff }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .paper {{ fill: #10181f }} }}</style>\n\
         <rect class=\"paper\" x=\"-16\" y=\"-16\" width=\"100%\" height=\"100%\" rx=\"12\"/>\n\
         <text x=\"0\" y=\"18\" font-size=\"15\" font-weight=\"600\">{title}</text>\n",
        WIDTH + 32.0,
        height + 32.0,
    );
    let mut x = 0.0;
    for (name, colour) in series.iter().zip(COLOURS) {
        write(
            &mut svg,
            format_args!(
                "<rect x=\"{x:.0}\" y=\"38\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"48\">{name}</text>\n",
                x + 17.0,
            ),
        );
        x += 34.0 + 6.4 * name.len() as f64;
    }
    for (index, group) in groups.iter().enumerate() {
        let top = TOP + group_height * index as f64;
        write(
            &mut svg,
            format_args!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                LABELS - 10.0,
                top + BAR * series.len() as f64 / 2.0 + 4.0,
                group.title,
            ),
        );
        for (bar, (value, colour)) in group.values.iter().zip(COLOURS).enumerate() {
            let y = top + BAR * bar as f64;
            let width = (value * scale).max(1.0);
            write(
                &mut svg,
                format_args!(
                    "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <text class=\"value\" x=\"{:.1}\" y=\"{}\">{}</text>\n",
                    BAR - 2.0,
                    LABELS + width + 5.0,
                    y + BAR - 3.0,
                    thousands(*value),
                ),
            );
        }
    }
    svg + "</svg>\n"
}

fn write(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    svg.write_fmt(arguments).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_bar_for_each_value() {
        let groups = [Group {
            title: "read".to_owned(),
            values: vec![1_000.0, 0.0],
        }];
        let svg = draw("time", &["a", "b"], &groups);
        assert_eq!(svg.matches("<rect x=").count(), 4);
        assert!(svg.contains("width=\"590.0\"") && svg.contains(">1,000</text>"));
    }
}
