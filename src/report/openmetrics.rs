//! A report as OpenMetrics text (OpenMetrics 1.0), for Prometheus and the metrics report of GitLab.

use std::io::{self, Write};

use super::{ImageReport, Report};
use crate::image::Bytes;
use crate::image::removable::sum;
use crate::limits::Verdict;

/// One figure of every image.
struct MetricFamily {
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    of: fn(&ImageReport) -> Option<i64>,
}

const METRICS: [MetricFamily; 9] = [
    bytes("layergate_image_uncompressed_bytes", "Sum of the sizes of all layers.", |image| {
        image.head_totals()?.uncompressed.map(amount)
    }),
    bytes("layergate_image_flattened_bytes", "What a container of the image can see.", |image| {
        image.head_totals()?.flattened.map(amount)
    }),
    bytes("layergate_image_compressed_bytes", "What a full pull downloads.", |image| {
        image.head_totals()?.compressed.map(amount)
    }),
    bytes("layergate_image_wasted_bytes", "Uncompressed minus flattened.", |image| {
        image.head_totals()?.wasted.map(amount)
    }),
    bytes("layergate_image_removable_bytes", "Files that the image does not need to run.", |image| {
        image.head.as_ref()?;
        Some(amount(sum(image.removable.iter().filter(|one| one.counts()))))
    }),
    bytes(
        "layergate_image_growth_bytes",
        "Size minus the size of the baseline, in the metric of the limits.",
        |image| image.size_delta().map(|delta| delta.0),
    ),
    count("layergate_image_layers", "Number of layers.", |image| {
        image.head_totals().map(|totals| totals.layers as i64)
    }),
    count("layergate_image_files", "Regular files that a container can see.", |image| {
        image.head_totals()?.files.map(|files| files as i64)
    }),
    count("layergate_image_failed", "1 if a limit is exceeded and not accepted.", |image| {
        Some(i64::from(image.verdict == Verdict::Fail))
    }),
];

const fn bytes(name: &'static str, help: &'static str, of: fn(&ImageReport) -> Option<i64>) -> MetricFamily {
    MetricFamily { name, unit: Some("bytes"), help, of }
}

const fn count(name: &'static str, help: &'static str, of: fn(&ImageReport) -> Option<i64>) -> MetricFamily {
    MetricFamily { name, unit: None, help, of }
}

fn amount(bytes: Bytes) -> i64 {
    bytes.0 as i64
}

/// Writes a report. Unknown values are left out.
///
/// # Errors
/// Any error from writing.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for MetricFamily { name, unit, help, of } in &METRICS {
        writeln!(out, "# TYPE {name} gauge")?;
        if let Some(unit) = unit {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        writeln!(out, "# HELP {name} {help}")?;
        for (image, value) in report.images.iter().filter_map(|image| Some((image, of(image)?))) {
            let platform = image.platform.as_deref().unwrap_or_default();
            writeln!(
                out,
                "{name}{{image=\"{}\",platform=\"{}\"}} {value}",
                label(&image.name),
                label(platform)
            )?;
        }
    }
    writeln!(out, "# EOF")
}

/// A label's value (OpenMetrics, "ABNF": backslash, quote and line feed are escaped).
fn label(untrusted: &str) -> String {
    super::escape::visible(untrusted).replace('\\', "\\\\").replace('"', "\\\"")
}
