//! The section of `docs/measurements.md`, and its picture.

use plotters::prelude::*;

use super::{Growth, HOSTS_OF_A_JOB, IDLE_US, TASKS_OF_A_JOB};

/// One thing that may grow.
struct Curve {
    name: &'static str,
    value: fn(&Growth) -> f64,
}

const SIZE: (u32, u32) = (720, 420);
/// One for each curve.
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(0, 0, 0),
    RGBColor(188, 189, 34),
    RGBColor(23, 190, 207),
];

/// What is shown of each size. What is counted while the system is idle is for each host and second.
const CURVES: &[Curve] = &[
    Curve { name: "messages a task", value: |grown| grown.work.messages as f64 / grown.tasks as f64 },
    Curve { name: "of them with the FTM", value: |grown| grown.work.with_ftm as f64 / grown.tasks as f64 },
    Curve { name: "store commits a task", value: |grown| grown.work.commits as f64 / grown.tasks as f64 },
    Curve { name: "FTM CPU a task, µs", value: |grown| micros(grown.work.ftm) / grown.tasks as f64 },
    Curve {
        name: "messages of a host in its first 5 s",
        value: |grown| grown.start.messages as f64 / f64::from(grown.hosts),
    },
    Curve {
        name: "store commits for a host that starts",
        value: |grown| grown.start.commits as f64 / f64::from(grown.hosts),
    },
    Curve {
        name: "FTM CPU for a host that starts, µs",
        value: |grown| micros(grown.start.ftm) / f64::from(grown.hosts),
    },
    Curve { name: "messages of an idle host a second", value: |grown| idle(grown, grown.idle.messages as f64) },
    Curve { name: "datagrams of an idle host a second", value: |grown| idle(grown, grown.idle.datagrams as f64) },
    Curve { name: "FTM CPU of an idle host a second, µs", value: |grown| idle(grown, micros(grown.idle.ftm)) },
];

fn micros(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn idle(grown: &Growth, whole: f64) -> f64 {
    whole / f64::from(grown.hosts) / (IDLE_US as f64 / 1e6)
}

/// A line for the one who waits.
pub fn line(grown: &Growth) -> String {
    let figures = CURVES.iter().map(|curve| format!("{} {}", curve.name, number((curve.value)(grown))));
    format!("{} hosts, {} tasks: {}", grown.hosts, grown.tasks, figures.collect::<Vec<_>>().join(", "))
}

/// The table, with a column for each size.
pub fn page(grown: &[Growth]) -> String {
    let head: Vec<String> = grown.iter().map(|grown| format!("{} hosts", grown.hosts)).collect();
    let rows = CURVES.iter().map(|curve| {
        let cells: Vec<String> = grown.iter().map(|grown| number((curve.value)(grown))).collect();
        format!("| {} | {} |", curve.name, cells.join(" | "))
    });
    let tasks: Vec<String> = grown.iter().map(|grown| grown.tasks.to_string()).collect();
    let seconds: Vec<String> = grown.iter().map(|grown| format!("{:.1} s", grown.work_us as f64 / 1e6)).collect();
    let most = grown.iter().map(|grown| grown.hosts).max().unwrap_or_default();
    format!(
        "## What grows with hosts and tasks

Systems of up to {most} invented hosts, each with its daemon and its Heartbeat, and one job of {TASKS_OF_A_JOB} tasks under `tmr` for
every {HOSTS_OF_A_JOB} hosts. Every ARMOR is the real one, and every invariant is looked at; what is sent and saved is counted, and
the time of the FTM's decisions is taken on this machine. Made by `cargo xtask scale`.

| | {} |
|---|{}
| tasks in all | {} |
| from the first job to the end of the last, invented time | {} |
{}

![What a task and a host cost as a system grows](scale.svg)
",
        head.join(" | "),
        "---|".repeat(grown.len()),
        tasks.join(" | "),
        seconds.join(" | "),
        rows.collect::<Vec<_>>().join("\n"),
    )
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

/// The same as a picture, both axes logarithmic: what is flat does not grow.
pub fn picture(grown: &[Growth]) -> Result<String, Box<dyn std::error::Error>> {
    let hosts = || grown.iter().map(|grown| f64::from(grown.hosts));
    let (least, most) = (hosts().fold(f64::MAX, f64::min), hosts().fold(0.0, f64::max));
    let values = || grown.iter().flat_map(|grown| CURVES.iter().map(|curve| (curve.value)(grown)));
    let (lowest, highest) =
        (values().filter(|value| *value > 0.0).fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d((least..most * 30.0).log_scale(), (lowest * 0.5..highest * 2.0).log_scale())?;
        chart.configure_mesh().x_desc("hosts").draw()?;
        for (curve, &colour) in CURVES.iter().zip(&COLOURS) {
            let points = grown.iter().map(|grown| (f64::from(grown.hosts), (curve.value)(grown)));
            chart
                .draw_series(LineSeries::new(points, colour))?
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).border_style(BLACK).draw()?;
        area.present()?;
    }
    Ok(svg)
}
