//! Panels with curves, side by side, as SVG; the PNG is that SVG, rendered.

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use resvg::{tiny_skia, usvg};
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Pixels of one panel; a PNG has twice as many each way.
const PANEL: (u32, u32) = (460, 340);
const MARGIN: u32 = 12;
/// The PNG's pixels for one of the SVG's.
const SHARPNESS: f32 = 2.0;

/// Colours that those can tell apart who see few colours (Okabe and Ito).
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
];

/// One pair of axes with its curves.
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub curves: Vec<Curve>,
}

pub struct Axis {
    pub label: &'static str,
    pub range: Range<f64>,
    pub scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Logarithmic,
}

pub struct Curve {
    pub name: String,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
    /// Whether what was measured is marked, where it is few and far between.
    pub is_marked: bool,
}

/// Writes `path` with the endings `svg` and `png`.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let columns = panels.len();
    let width = PANEL.0 * u32::try_from(columns)?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, PANEL.1)).into_drawing_area();
        area.fill(&WHITE)?;
        for (panel, area) in panels.iter().zip(area.split_evenly((1, columns))) {
            draw_panel(panel, &area)?;
        }
        area.present()?;
    }
    std::fs::write(path.with_extension("svg"), &svg)?;
    render(&svg)?.save_png(path.with_extension("png"))?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_panel(panel: &Panel, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&panel.title, ("sans-serif", 15))
        .margin(MARGIN)
        // Half of the last number stands beyond the axis.
        .margin_right(2 * MARGIN)
        .x_label_area_size(36)
        .y_label_area_size(48);
    // Axes of different kinds are different types.
    let (x, y) = (panel.x.range.clone(), panel.y.range.clone());
    match (panel.x.scale, panel.y.scale) {
        (Scale::Linear, Scale::Linear) => fill(panel, builder.build_cartesian_2d(x, y)?),
        (Scale::Linear, Scale::Logarithmic) => fill(panel, builder.build_cartesian_2d(x, y.log_scale())?),
        (Scale::Logarithmic, Scale::Linear) => fill(panel, builder.build_cartesian_2d(x.log_scale(), y)?),
        (Scale::Logarithmic, Scale::Logarithmic) => {
            fill(panel, builder.build_cartesian_2d(x.log_scale(), y.log_scale())?)
        }
    }
}

type Chart<'a, X, Y> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>;

fn fill<X, Y>(panel: &Panel, mut chart: Chart<'_, X, Y>) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc(panel.x.label)
        .y_desc(panel.y.label)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    for curve in &panel.curves {
        let style = curve.colour.stroke_width(2);
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(&curve.name)
            .legend(sample);
        if curve.is_marked {
            let dot = |point: &(f64, f64)| Circle::new(*point, 3, curve.colour.filled());
            chart.draw_series(curve.points.iter().map(dot))?;
        }
    }
    if panel.curves.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    Ok(())
}

/// Short: 0.5, 20, 10,000.
fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let from_end = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(from_end).collect()
}

/// The same on every machine: with a font that we bring along.
fn render(svg: &str) -> Result<tiny_skia::Pixmap, Box<dyn Error>> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options { fontdb: Arc::new(fonts), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(SHARPNESS).ok_or("a picture without size")?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height()).ok_or("a picture without size")?;
    let transform = tiny_skia::Transform::from_scale(SHARPNESS, SHARPNESS);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    Ok(pixels)
}
