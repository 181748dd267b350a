//! The page's plots, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 300);
const FONT: &str = "sans-serif";
/// Legible beside each other, and for those who don't see red and green apart.
const COLORS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];

/// One bar for each way, its value beside it.
///
/// # Errors
///
/// When the file can't be written.
pub(super) fn bars(file: &Path, title: &str, bars: &[(&str, f64)]) -> Result<()> {
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let lines = i32::try_from(bars.len())?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(30)
        .build_cartesian_2d(-most * 0.32..most * 1.12, 0..lines * 10)
        .map_err(failed)?;
    for (line, (name, value)) in (0..lines).rev().zip(bars) {
        let color = COLORS[usize::try_from(lines - 1 - line)? % COLORS.len()];
        let (low, high) = (line * 10 + 2, line * 10 + 8);
        let bar = Rectangle::new([(0.0, low), (*value, high)], color.filled());
        let name = Text::new((*name).to_owned(), (-most * 0.31, high - 1), (FONT, 15));
        let number = Text::new(super::page::number(*value), (value + most * 0.01, high - 1), (FONT, 15));
        chart.draw_series([bar]).map_err(failed)?;
        chart.draw_series([name, number]).map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// What happened over time in one shop.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Seconds since the kill, and how many seconds an order that was placed then took.
    pub(super) points: Vec<(f64, f64)>,
    /// The same of orders that failed.
    pub(super) failures: Vec<(f64, f64)>,
}

/// How long orders took, by when they were placed; on a logarithmic scale, with a cross for each that failed.
///
/// # Errors
///
/// When the file can't be written.
pub(super) fn waits(file: &Path, title: &str, outage: f64, lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| line.points.iter().chain(&line.failures));
    let first = points().map(|point| point.0).fold(0.0, f64::min);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(1.0, f64::max) * 2.0;
    let root = SVGBackend::new(file, (SIZE.0, SIZE.1 + 120)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(first..last, (0.002..most).log_scale())
        .map_err(failed)?;
    let dead = Rectangle::new([(0.0, 0.002), (outage, most)], BLACK.mix(0.07).filled());
    chart.draw_series([dead]).map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("when the order was placed: seconds since the kill (grey: the process is dead)")
        .y_desc("seconds until its end")
        .draw()
        .map_err(failed)?;
    for (line, color) in lines.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))
            .map_err(failed)?
            .label(&line.name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], color.filled()));
        let crosses = line.failures.iter().map(|point| Cross::new(*point, 4, color.stroke_width(2)));
        chart.draw_series(crosses).map_err(failed)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((FONT, 13))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(failed)?;
    root.present().map_err(failed)
}

/// The library's errors borrow the file's name.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot can't be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_say_what_they_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plot.svg");
        bars(&file, "Orders", &[("one", 3.0), ("two", 42.0)]).unwrap();
        let drawn = std::fs::read_to_string(&file).unwrap();
        assert!(["Orders", "one", "two", "42"].iter().all(|text| drawn.contains(text)), "{drawn}");
        let line = Line { name: "shop".to_owned(), points: vec![(-1.0, 0.01), (2.0, 3.0)], failures: vec![(1.0, 2.0)] };
        waits(&file, "Waits", 5.0, &[line]).unwrap();
        let drawn = std::fs::read_to_string(&file).unwrap();
        assert!(["Waits", "shop"].iter().all(|text| drawn.contains(text)), "{drawn}");
    }
}
