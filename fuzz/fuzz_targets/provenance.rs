//! Build provenance, as a statement beside an image and as a file for `--build-metadata`; and the Dockerfile in it.
#![no_main]

use layergate::dockerfile::provenance::BuildxMetadata;
use layergate::dockerfile::{BuildOptions, Dockerfile, Provenance};
use layergate::image::Digest;
use libfuzzer_sys::fuzz_target;

const MOST_LAYERS: usize = 8;

fuzz_target!(|json: &[u8]| {
    let image = Digest::of(b"image");
    if let Ok(Some(provenance)) = Provenance::of_statement(json, &image) {
        look_at(&provenance);
    }
    let Ok(metadata) = BuildxMetadata::parse(json) else { return };
    for platform in [None, Some("linux/amd64")] {
        if let Ok(Some(provenance)) = metadata.provenance_of(std::slice::from_ref(&image), platform) {
            look_at(&provenance);
        }
    }
});

fn look_at(provenance: &Provenance) {
    for count in 0..MOST_LAYERS {
        let layers = vec![None; count];
        let lines = provenance.lines_of(&layers);
        assert_eq!(lines.len(), count);
        assert!(provenance.base_layers(&layers).is_none_or(|base| base <= count as u64));
        let is_told = provenance.tells_lines(&layers);
        assert!(is_told || lines.iter().all(Option::is_none));
        provenance.base_images(&layers);
    }
    let path = provenance.file.as_deref().unwrap_or_default();
    assert!(path.split('/').all(|part| part != ".."));
    assert!(!path.starts_with('/') && !path.chars().any(char::is_control));
    let (target, args) = (provenance.target.clone(), provenance.arguments.clone());
    let options = BuildOptions { target, args, contexts: provenance.contexts.clone() };
    let parsed = provenance.text.as_deref().and_then(|text| Dockerfile::parse(text).ok());
    if let Some(dockerfile) = parsed {
        let _ = dockerfile.facts(&options);
    }
}
