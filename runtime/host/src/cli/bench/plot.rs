//! Time and accuracy against the multiply-adds saved, as an SVG file that needs nothing else.

mod axis;
mod series;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use edgelip::output::Output;

use super::report::{self, Report};
use axis::Axis;
use series::{Point, Series};

/// Width of the picture in pixels.
const WIDTH: f64 = 860.0;
/// Where the panels begin and end from left to right; names of series stand to the right of them.
const PANEL: [f64; 2] = [72.0, 660.0];
/// Top and bottom of the panel of times.
const TIMES: [f64; 2] = [84.0, 404.0];
/// Height of the panel of accuracies, and the gap above it.
const ACCURACIES: f64 = 130.0;
const GAP: f64 = 40.0;

const STYLE: &str = "\
text{font:13px 'Helvetica Neue',Helvetica,Arial,sans-serif;fill:#3b4252}\
.title{font-size:19px;font-weight:600;fill:#1f2733}.small{font-size:11.5px;fill:#7b8494}\
.axis{font-size:12px;fill:#5d6675}.grid{stroke:#e6e9ee;stroke-width:1}.base{stroke:#aab2bf;stroke-width:1}\
.line{fill:none;stroke-width:2.4;stroke-linejoin:round;stroke-linecap:round}\
.ideal{fill:none;stroke-width:1.4;stroke-dasharray:2 5;stroke-linecap:round;opacity:.75}\
.band{opacity:.13;stroke:none}.name{font-weight:600}";

/// Colours that differ for colour-blind eyes too.
const COLOURS: [&str; 8] = ["#2166ac", "#d6604d", "#1b9e77", "#8e6bbf", "#c98b1b", "#4a9bd1", "#a34a28", "#66717e"];

/// Writes the plot.
pub fn write(report: &Report, path: &Path, replace: bool) -> Result<()> {
    let series = series::of(&report.models);
    if series.is_empty() {
        bail!("nothing to plot: none of the models says how many multiply-adds it saves");
    }
    let mut output = Output::create(path, replace)?;
    output.write_all(draw(report, &series).as_bytes())?;
    Ok(output.commit()?)
}

fn draw(report: &Report, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let accurate = points().any(|point| point.accuracy.is_some());
    let bottom = if accurate { TIMES[1] + GAP + ACCURACIES } else { TIMES[1] };
    let height = bottom + 76.0;
    let saved = points().map(|point| point.saved).fold(0.0, f64::max);
    let across = Axis::new(0.0, (100.0 * saved).max(10.0), PANEL);
    let slowest = points().map(|point| point.p90).fold(0.0, f64::max);
    let times = Axis::new(0.0, slowest, [TIMES[1], TIMES[0]]);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, PANEL[0], 34.0, "title", "start", "Time for one image by the share of work that merging saves");
    text(&mut svg, PANEL[0], 55.0, "small", "start", &report::machine(report));
    panel(&mut svg, &across, &times, TIMES, "ms");
    let mut taken = Vec::new();
    for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        draw_times(&mut svg, series, colour, &across, &times);
    }
    for point in points() {
        let (x, y) = (across.at(100.0 * point.saved), times.at(point.median));
        taken.push((x, y));
    }
    for point in points() {
        let (x, y) = (across.at(100.0 * point.saved) + 2.0, times.at(point.median));
        // Above its point, else below it, else nowhere: the name beside the line tells the first and the last.
        if let Some(y) = [y - 12.0, y + 19.0].into_iter().find(|&y| is_free(&taken, x, y - 4.0)) {
            text(&mut svg, x, y, "small", "middle", &axis::rounded(point.median));
            taken.push((x, y - 4.0));
        }
    }
    let ends: Vec<f64> = series.iter().filter_map(|series| Some(times.at(series.points.last()?.median))).collect();
    for ((series, y), colour) in series.iter().zip(series::apart(&ends, 32.0)).zip(COLOURS.iter().cycle()) {
        let Some(last) = series.points.last() else { continue };
        let from = (across.at(100.0 * last.saved) + 9.0, times.at(last.median));
        let to = PANEL[1] + 14.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}L{:.1} {y:.1}\" stroke=\"{colour}\" stroke-width=\"1\" opacity=\".4\"/>",
            from.0, from.1, to
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"name\" style=\"fill:{colour}\">{}</text>",
            to + 6.0,
            y + 1.0,
            escape(&series.name)
        );
        text(&mut svg, to + 6.0, y + 15.0, "small", "start", &series.summary());
    }
    if accurate {
        let frame = [bottom - ACCURACIES, bottom];
        let shares = || points().filter_map(|point| point.accuracy).map(|share| 100.0 * share);
        let low = shares().fold(f64::INFINITY, f64::min);
        let up = Axis::new((low - 4.0).max(0.0), shares().fold(0.0, f64::max), [frame[1], frame[0]]);
        panel(&mut svg, &across, &up, frame, "% right");
        let mut drawn: Vec<Vec<(f64, f64)>> = Vec::new();
        for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let of = |point: &Point| Some((across.at(100.0 * point.saved), up.at(100.0 * point.accuracy?)));
            let line: Vec<(f64, f64)> = series.points.iter().filter_map(of).collect();
            // Engines and threads change nothing about it: one line for each precision.
            if !drawn.contains(&line) {
                draw_line(&mut svg, &line, colour);
                drawn.push(line);
            }
        }
    }
    let label = "share of the image tower's multiply-adds that merging saves, %";
    text(&mut svg, (PANEL[0] + PANEL[1]) / 2.0, bottom + 38.0, "axis", "middle", label);
    let legend =
        "line: median   ·   band: shortest to 90th percentile   ·   dots between: time in proportion to the work";
    text(&mut svg, (PANEL[0] + PANEL[1]) / 2.0, bottom + 59.0, "small", "middle", legend);
    svg.push_str("</svg>\n");
    svg
}

/// Grid, numbers and unit of a panel.
fn panel(svg: &mut String, across: &Axis, up: &Axis, [top, bottom]: [f64; 2], unit: &str) {
    let [left, right] = PANEL;
    for (index, tick) in up.ticks().enumerate() {
        let y = up.at(tick);
        let class = if index == 0 { "base" } else { "grid" };
        let _ = writeln!(svg, "<path d=\"M{left} {y:.1}H{right}\" class=\"{class}\"/>");
        text(svg, left - 10.0, y + 4.0, "axis", "end", &axis::number(tick));
    }
    for tick in across.ticks() {
        let x = across.at(tick);
        let _ = writeln!(svg, "<path d=\"M{x:.1} {bottom:.1}v5\" class=\"base\"/>");
        text(svg, x, bottom + 19.0, "axis", "middle", &axis::number(tick));
    }
    text(svg, left - 10.0, top - 10.0, "small", "end", unit);
}

fn draw_times(svg: &mut String, series: &Series, colour: &str, across: &Axis, times: &Axis) {
    let x = |point: &Point| across.at(100.0 * point.saved);
    let upper = series.points.iter().map(|point| (x(point), times.at(point.p90)));
    let lower = series.points.iter().rev().map(|point| (x(point), times.at(point.min)));
    let band: Vec<(f64, f64)> = upper.chain(lower).collect();
    let _ = writeln!(svg, "<path d=\"{}Z\" class=\"band\" fill=\"{colour}\"/>", path(&band));
    if let (Some(first), Some(last)) = (series.points.first(), series.points.last()) {
        let ideal = first.median * (1.0 - last.saved) / (1.0 - first.saved);
        let line = [(x(first), times.at(first.median)), (x(last), times.at(ideal))];
        let _ = writeln!(svg, "<path d=\"{}\" class=\"ideal\" stroke=\"{colour}\"/>", path(&line));
    }
    let line: Vec<(f64, f64)> = series.points.iter().map(|point| (x(point), times.at(point.median))).collect();
    draw_line(svg, &line, colour);
}

/// Whether a number at this place touches none of the points and numbers that are there.
fn is_free(taken: &[(f64, f64)], x: f64, y: f64) -> bool {
    taken.iter().all(|(other_x, other_y)| (x - other_x).abs() > 34.0 || (y - other_y).abs() > 7.5)
}

fn draw_line(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    let _ = writeln!(svg, "<path d=\"{}\" class=\"line\" stroke=\"{colour}\"/>", path(points));
    for (x, y) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.2\" fill=\"{colour}\" stroke=\"#fff\" stroke-width=\"1.6\"/>"
        );
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    path
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, what: &str) {
    let what = escape(what);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{what}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
