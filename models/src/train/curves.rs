//! The training curves as an SVG.

use std::path::Path;

use plotters::prelude::*;

use super::Row;
use crate::error::Error;

const SIZE: (u32, u32) = (960, 540);
/// Steps are averaged to about this many points.
const POINTS: usize = 240;

/// Draws the loss, its parts and the hits of rows to a file.
///
/// # Errors
/// [`Error::Malformed`] if it can't be drawn or written.
pub fn draw(path: &Path, rows: &[Row]) -> Result<(), Error> {
    let Some(last) = rows.last() else { return Ok(()) };
    let mut names = vec!["loss".to_owned()];
    names.extend(last.parts.keys().filter(|name| !["hits", "scale"].contains(&name.as_str())).cloned());
    let curves: Vec<(String, Vec<(f64, f64)>)> = names
        .into_iter()
        .map(|name| {
            let points =
                smooth(rows, |row| if name == "loss" { Some(row.loss) } else { row.parts.get(&name).copied() });
            (name, points)
        })
        .collect();
    let hits = smooth(rows, |row| row.parts.get("hits").copied());
    let top = curves.iter().flat_map(|(_, points)| points).map(|&(_, y)| y).fold(0.0, f64::max) * 1.05;
    paint(path, last.step as f64, top.max(1e-6), &curves, &hits).map_err(|error| Error::malformed(path, error))
}

fn paint(
    path: &Path,
    steps: f64,
    top: f64,
    curves: &[(String, Vec<(f64, f64)>)],
    hits: &[(f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .right_y_label_area_size(48)
        .build_cartesian_2d(0.0..steps, 0.0..top)?
        .set_secondary_coord(0.0..steps, 0.0..1.0);
    chart.configure_mesh().x_desc("step").y_desc("loss").light_line_style(WHITE).draw()?;
    chart.configure_secondary_axes().y_desc("hits").draw()?;
    for (i, (name, points)) in curves.iter().enumerate() {
        let style = Palette99::pick(i).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    if !hits.is_empty() {
        let style = BLACK.stroke_width(1);
        chart
            .draw_secondary_series(LineSeries::new(hits.iter().copied(), style))?
            .label("hits (right)")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}

/// Means over stretches of steps.
fn smooth(rows: &[Row], value: impl Fn(&Row) -> Option<f64>) -> Vec<(f64, f64)> {
    rows.chunks(rows.len().div_ceil(POINTS))
        .filter_map(|part| {
            let values: Vec<f64> = part.iter().filter_map(&value).collect();
            let last = part.last()?.step as f64;
            (!values.is_empty()).then(|| (last, values.iter().sum::<f64>() / values.len() as f64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_an_svg_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.svg");
        let rows: Vec<Row> = (1..=500)
            .map(|step| Row {
                step,
                loss: 3.0 / step as f64,
                gradient: 1.0,
                learning_rate: 0.0,
                compression: 0.0,
                seconds: 0.0,
                parts: [("hits".to_owned(), 0.5), ("spatial".to_owned(), 1.0)].into(),
            })
            .collect();
        draw(&path, &rows).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && ["loss", "spatial", "hits (right)"].iter().all(|name| svg.contains(name)));
    }
}
