//! A saved image: read as a stream and indexed in a file, then measured.
#![no_main]

use std::io::Write as _;
use std::path::Path;

use layergate::image::Snapshot;
use layergate::image::snapshot::SourceInfo;
use layergate::layer::{SafetyLimits, Budget};
use layergate::source::reader::Inspected;
use layergate::source::parts::{Everything, ImageParts};
use layergate::source::{ImageReference, NamedImage, Options, SourceError, layout};
use libfuzzer_sys::fuzz_target;

fn measure(parts: Result<ImageParts, SourceError>, budget: &Budget) -> Option<Snapshot> {
    let image = ImageReference::DockerArchive("fuzz.tar".into(), None);
    let named = NamedImage { name: None, image, text: "fuzz.tar".into() };
    let source = SourceInfo { transport: "docker-archive".into(), engine: None };
    let measured = layout::measure(&parts.ok()?, &named, None, &source, Inspected::default(), &Options::default(), budget);
    Some(measured.ok()?.pop()?.snapshot)
}

fuzz_target!(|archive: &[u8]| {
    let budget = Budget::default();
    let streamed = ImageParts::stream(&mut &*archive, Path::new("fuzz.tar"), &budget, &mut Everything);
    let streamed = measure(streamed, &budget);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(archive).expect("room for it");
    let budget = Budget::default();
    let indexed = measure(ImageParts::index(file.path(), &SafetyLimits::default()), &budget);

    for snapshot in [&streamed, &indexed].into_iter().flatten() {
        let totals = &snapshot.totals;
        let sum = totals.flattened.zip(totals.wasted).and_then(|(visible, wasted)| visible.checked_add(wasted));
        assert_eq!(sum, totals.uncompressed);
    }
    if let (Some(streamed), Some(indexed)) = (streamed, indexed) {
        assert_eq!(streamed.totals, indexed.totals, "a stream and a file are the same image");
        assert_eq!(streamed.layers, indexed.layers);
    }
});
