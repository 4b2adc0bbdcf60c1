//! The plot: nanoseconds against pairs, both on logarithmic axes, with a line for each contender and a panel for each
//! operation.

use super::records::Records;
use std::fmt::Write;

const PANELS: &[(&str, &str, &str)] = &[
    ("dependent", "dependent lookup", "ns"),
    ("independent", "independent lookups", "ns"),
    ("miss", "misses", "ns"),
    ("batch32", "batches of 32, each lookup", "ns"),
    ("upsert", "upserts", "ns"),
    ("bytes", "memory", "bytes a pair"),
];

/// The colour and line width of each contender. The colours are distinguishable for most people; ours and the limit
/// come first.
const STYLES: &[(&str, &str, f64)] = &[
    ("ours", "#d55e00", 3.0),
    ("kept", "#e69f00", 2.0),
    ("decisions", "#cc79a7", 2.0),
    ("lines", "#000000", 2.0),
    ("dashmap", "#0072b2", 1.5),
    ("horde", "#009e73", 1.5),
    ("papaya", "#56b4e9", 1.5),
    ("scc", "#7b4fa3", 1.5),
    ("leapfrog", "#8c564b", 1.5),
    ("rwlock", "#999999", 1.5),
];

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 300.0;
const TOP: f64 = 70.0;
/// The margins of a panel: left, right, top and bottom.
const MARGINS: [f64; 4] = [56.0, 14.0, 34.0, 42.0];

/// A logarithmic axis that maps values from `least` to `most` onto `from` to `to`.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Creates an axis around these values, with some margin.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Axis> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        (most > 0.0).then(|| Axis { least: least / 1.2, most: most * 1.2, from, to })
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (value / self.least).ln() / (self.most / self.least).ln()
    }

    /// Returns 1, 2 and 5 times each power of ten, or only the powers.
    fn ticks(&self, steps: &[f64]) -> Vec<f64> {
        let powers = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        powers
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|tick| (self.least..=self.most).contains(tick))
            .collect()
    }
}

/// Returns whether the memory of this contender is shown. A whole decision's memory includes the plan.
fn shown(figure: &str, contender: &str) -> bool {
    figure != "bytes" || contender != "decisions"
}

/// Returns the plot as SVG. A panel without figures is left out.
pub(crate) fn svg(records: &Records, title: &str) -> String {
    let panels: Vec<_> = PANELS.iter().filter(|(figure, ..)| !records.contenders(figure).is_empty()).collect();
    let (width, height) = (2.0 * WIDTH, TOP + panels.len().div_ceil(2) as f64 * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"16\">{title}</text>\n"
    );
    legend(&mut svg, records);
    for (at, (figure, name, unit)) in panels.iter().enumerate() {
        let (column, row) = ((at % 2) as f64, (at / 2) as f64);
        panel(&mut svg, records, figure, &format!("{name}, {unit}"), column * WIDTH, TOP + row * HEIGHT);
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], style: &str) {
    let _ = writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>");
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333333\">{text}</text>");
}

fn dashes(name: &str) -> &'static str {
    if name == "lines" { "stroke-dasharray=\"6 4\"" } else { "" }
}

fn legend(svg: &mut String, records: &Records) {
    let names = records.contenders("dependent");
    let mut x = 16.0;
    for (name, colour, width) in STYLES.iter().filter(|(name, ..)| names.contains(name)) {
        let style = format!("stroke=\"{colour}\" stroke-width=\"{width}\" {}", dashes(name));
        line(svg, [x, 46.0, x + 22.0, 46.0], &style);
        let text = if *name == "lines" { "random 64-byte lines" } else { name };
        label(svg, x + 27.0, 50.0, "start", text);
        x += 40.0 + 6.8 * text.len() as f64;
    }
}

fn panel(svg: &mut String, records: &Records, figure: &str, name: &str, x: f64, y: f64) {
    let [left, right, above, below] = MARGINS;
    let sizes = records.sizes();
    let all = records.all().iter().filter(|record| record.figure == figure && shown(figure, &record.contender));
    let all = all.map(|record| record.value);
    let (Some(across), Some(up)) = (
        Axis::around(sizes.iter().map(|&pairs| pairs as f64), x + left, x + WIDTH - right),
        Axis::around(all, y + HEIGHT - below, y + above),
    ) else {
        return;
    };
    label(svg, x + left, y + above - 10.0, "start", name);
    for tick in up.ticks(&[1.0, 2.0, 5.0]) {
        line(svg, [across.from, up.at(tick), across.to, up.at(tick)], "stroke=\"#e5e5e5\"");
        label(svg, across.from - 6.0, up.at(tick) + 4.0, "end", &format!("{tick}"));
    }
    for tick in across.ticks(&[1.0]) {
        line(svg, [across.at(tick), up.from, across.at(tick), up.to], "stroke=\"#e5e5e5\"");
        let power = format!("10<tspan dy=\"-5\" font-size=\"9\">{:.0}</tspan>", tick.log10());
        label(svg, across.at(tick), up.from + 16.0, "middle", &power);
    }
    label(svg, f64::midpoint(across.from, across.to), up.from + 34.0, "middle", "pairs");
    for (name, colour, width) in STYLES.iter().rev().filter(|(name, ..)| shown(figure, name)) {
        let points: Vec<_> = sizes
            .iter()
            .filter_map(|&pairs| Some((across.at(pairs as f64), up.at(records.first(pairs, name, figure)?))))
            .filter(|(_, up)| up.is_finite())
            .collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        if points.is_empty() {
            continue;
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" {}/>",
            path.join(" "),
            dashes(name)
        );
        for (x, y) in points {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"{colour}\"/>", width + 1.0);
        }
    }
}
