//! Which image of several is meant: by its name, and by its platform.

use std::collections::BTreeSet;

use super::layout::{Candidate, Packed, Reader, blob_name};
use super::{Platforms, SourceError, check_digest, excerpt};
use crate::image::oci::{CONTAINERD_NAME, Descriptor, Index, REF_NAME, SavedImage};
use crate::image::{Digest, Platform};
use crate::layer::Refusal;

/// How many images an index may list.
const MAX_IMAGES: usize = 1000;

impl Reader<'_> {
    /// All images that there are. `index.json` says more than `manifest.json`, where both exist.
    pub(super) fn candidates(&self) -> Result<Vec<Candidate>, SourceError> {
        let mut candidates = Vec::new();
        let mut seen = BTreeSet::new();
        if let Some(index) = self.json::<Index>("index.json")? {
            for descriptor in index.manifests {
                let group = descriptor.digest.to_string();
                let names = descriptor_names(&descriptor);
                self.expand(descriptor, &group, &names, 0, &mut seen, &mut candidates)?;
            }
        } else if let Some(saved) = self.json::<Vec<SavedImage>>("manifest.json")? {
            for image in saved.into_iter().take(MAX_IMAGES) {
                let names = image.repo_tags.clone().unwrap_or_default();
                let group = image.config.clone();
                candidates.push(Candidate { names, group, platform: None, image: Packed::Saved(image) });
            }
        }
        Ok(candidates)
    }

    /// Follows indexes down to manifests. What an index lists and the layout does not hold (the
    /// other platforms of an image that was pulled for one) is passed over.
    fn expand(
        &self,
        descriptor: Descriptor,
        group: &str,
        names: &[String],
        depth: usize,
        seen: &mut BTreeSet<(String, Digest)>,
        found: &mut Vec<Candidate>,
    ) -> Result<(), SourceError> {
        if descriptor.is_attestation() || found.len() >= MAX_IMAGES {
            return Ok(());
        }
        // An index that is listed a thousand times is read once for each image.
        if descriptor.is_index() && !seen.insert((group.to_owned(), descriptor.digest.clone())) {
            return Ok(());
        }
        let name = blob_name(&descriptor.digest);
        if descriptor.is_index() {
            let most = self.budget.bounds.nesting;
            if depth as u64 >= most {
                let refusal = Refusal::new("nesting", format!("indexes point at indexes over {most} deep"));
                return Err(self.refused(&refusal));
            }
            let Some(content) = self.manifest(&descriptor.digest)? else { return Ok(()) };
            check_digest(&self.image, "the index".into(), &descriptor.digest, &content)?;
            let index: Index = self.parse(&name, &content)?;
            for inner in index.manifests {
                self.expand(inner, group, names, depth + 1, seen, found)?;
            }
            return Ok(());
        }
        if depth > 0 && !self.parts.has(&name) {
            return Ok(());
        }
        found.push(Candidate {
            names: names.to_vec(),
            group: group.to_owned(),
            platform: descriptor.platform.as_ref().and_then(|platform| platform.to_platform()),
            image: Packed::Manifest(descriptor),
        });
        Ok(())
    }

    /// The images that are meant: one, or one for each platform.
    pub(super) fn choose(
        &self,
        candidates: Vec<Candidate>,
        wanted: Option<&str>,
    ) -> Result<Vec<Candidate>, SourceError> {
        let names: BTreeSet<String> =
            candidates.iter().flat_map(|c| c.names.iter().map(|n| excerpt(n))).collect();
        let names: Vec<String> = names.into_iter().collect();
        let image = self.image.clone();
        let mut left = candidates;
        if let Some(wanted) = wanted {
            left.retain(|candidate| candidate.names.iter().any(|name| same_name(name, wanted)));
            if left.is_empty() {
                return Err(SourceError::NoSuchImage { image, wanted: wanted.into(), names });
            }
        }
        let groups: BTreeSet<&str> = left.iter().map(|candidate| candidate.group.as_str()).collect();
        if groups.len() > 1 {
            return Err(SourceError::Ambiguous { image: self.prefixed.clone(), count: groups.len(), names });
        }
        // An image that was saved under two names is listed twice.
        let mut seen = BTreeSet::new();
        left.retain(|candidate| seen.insert(candidate.key()));
        self.choose_platform(left)
    }

    fn choose_platform(&self, mut candidates: Vec<Candidate>) -> Result<Vec<Candidate>, SourceError> {
        let image = self.image.clone();
        if candidates.is_empty() {
            let (what, name) = ("every image".into(), "its index lists none that is here".into());
            return Err(SourceError::Missing { image, what, name });
        }
        for candidate in &mut candidates {
            if candidate.platform.is_none() {
                candidate.platform = self.plan_config(candidate)?.0.platform();
            }
        }
        let (wanted, usual) = match &self.options.platform {
            Platforms::All => return Ok(candidates),
            Platforms::One(platform) => (platform.clone(), false),
            Platforms::Usual => (self.usual_platform.clone().unwrap_or_else(Platform::of_this_machine), true),
        };
        let platforms =
            candidates.iter().map(|c| c.platform.as_ref().map_or("unknown".into(), Platform::to_string));
        let platforms: Vec<String> = platforms.collect();
        let fits = |candidate: &Candidate| candidate.platform.as_ref().is_some_and(|p| p.satisfies(&wanted));
        let same = |candidate: &Candidate| candidate.platform.as_ref() == Some(&wanted);
        let one_fits = candidates.iter().filter(|candidate| fits(candidate)).count() == 1;
        let position = candidates.iter().position(same);
        match position.or_else(|| candidates.iter().position(fits).filter(|_| one_fits)) {
            Some(at) => Ok(vec![candidates.swap_remove(at)]),
            None if usual && candidates.len() == 1 => Ok(candidates),
            None => Err(SourceError::NoSuchPlatform { image, wanted: wanted.to_string(), platforms }),
        }
    }
}

impl Candidate {
    fn key(&self) -> String {
        match &self.image {
            Packed::Manifest(descriptor) => descriptor.digest.to_string(),
            Packed::Saved(saved) => saved.config.clone(),
        }
    }
}

fn descriptor_names(descriptor: &Descriptor) -> Vec<String> {
    let annotation = |key| descriptor.annotations.get(key).cloned();
    [annotation(CONTAINERD_NAME), annotation(REF_NAME)].into_iter().flatten().collect()
}

/// Whether two names are of one image, as people write them: `app`, `app:latest` and
/// `docker.io/library/app:latest` are, and so is a tag that stands alone in a layout.
fn same_name(name: &str, wanted: &str) -> bool {
    let familiar = |text: &str| {
        let text = text.strip_prefix("docker.io/").unwrap_or(text);
        let text = text.strip_prefix("library/").unwrap_or(text).to_owned();
        let tagged = text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if tagged { text } else { format!("{text}:latest") }
    };
    name == wanted || familiar(name) == familiar(wanted)
}
