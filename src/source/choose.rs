//! Chooses among several images: by name, by kind and by platform.

use std::collections::{BTreeSet, HashMap};

use super::blob::blob_name;
use super::kind::{self, ManifestKind};
use super::parts::ImageParts;
use super::reader::{ImagePieces, ImageReader};
use super::{Platforms, SourceError, check_digest, excerpt};
use crate::image::oci::{
    CONTAINERD_NAME, Descriptor, ImageConfig, ImageIndex, Manifest, Outline, REF_NAME, SavedImage,
};
use crate::image::{Digest, ImageName, Platform};
use crate::layer::Refusal;

/// Maximum number of images that an index may list, and of other kinds of things that are reported.
const MAX_IMAGES: usize = 1000;
const MAX_OTHERS: usize = 20;

/// What an archive, a layout or a registry lists: an image, or one for each of several platforms.
struct ImageGroup {
    names: Vec<String>,
    root: ImagePieces,
}

/// An image of one platform. Its manifest is read only when something depends on it.
struct Candidate {
    /// The digest of the index that lists it, or its own.
    root: Option<Digest>,
    platform: Option<Platform>,
    packed: ImagePieces,
    manifest: Option<Manifest>,
}

/// What following the indexes has found.
#[derive(Default)]
struct Listing {
    names: Vec<String>,
    /// The digest of the manifest or index that the names belong to.
    digest: Option<Digest>,
    images: Vec<Candidate>,
    /// Things that are not images, in words.
    others: Vec<String>,
    /// Whether something is listed but missing.
    lacks_some: bool,
    /// Attestations, each with the digest of the manifest that it attests.
    attestations: Vec<(Digest, Descriptor)>,
    /// What has been listed already. One manifest may serve several platforms.
    seen: BTreeSet<(Digest, Option<Platform>)>,
}

/// An image that was chosen.
pub(super) struct ChosenImage {
    /// The digest of the index that lists it, or of its manifest.
    pub root: Option<Digest>,
    pub platform: Option<Platform>,
    pub packed: ImagePieces,
    pub manifest: Option<Manifest>,
    pub config: ImageConfig,
    /// The digest of the config.
    pub id: Digest,
    /// The index entries of its attestations.
    pub attestations: Vec<Descriptor>,
    /// A remark about this image for people.
    pub note: Option<String>,
}

/// What a manifest turned out to be.
enum ChosenDocument {
    Index(ImageIndex),
    Manifest(Box<Manifest>),
    Other(String),
}

impl ImageReader<'_> {
    /// The requested images: one, or one for each platform.
    pub(super) fn choose(&self, wanted: Option<&str>) -> Result<Vec<ChosenImage>, SourceError> {
        let groups = self.groups()?;
        let digest = wanted.and_then(|wanted| wanted.strip_prefix('@'));
        let by_name = |group: &&ImageGroup| match wanted {
            Some(wanted) if digest.is_none() => group.names.iter().any(|name| same_name(name, wanted)),
            _ => true,
        };
        let named = groups.iter().filter(by_name).map(|group| self.expand_group(group, digest));
        let mut listings: Vec<Listing> = named.collect::<Result<_, _>>()?;
        listings.retain(|listing| digest.is_none() || !listing.is_empty());
        if let (Some(wanted), true) = (wanted, listings.is_empty()) {
            let all = groups.iter().map(|group| (group.names.as_slice(), self.root_digest(&group.root)));
            let names = distinct_names(&all.collect::<Vec<_>>());
            return Err(SourceError::NoSuchImage { image: self.image.clone(), wanted: wanted.into(), names });
        }
        // Entries with the same names are one image: the platform tells the descriptors apart.
        if digest.is_none() && !listings.iter().all(|listing| listing.is_called_as(&listings[0])) {
            listings = self.images_alone(listings);
            let count = listings.iter().filter(|listing| !listing.images.is_empty()).count();
            if count > 1 {
                let all = listings.iter().map(|listing| (listing.names.as_slice(), listing.digest.clone()));
                let names = distinct_names(&all.collect::<Vec<_>>());
                return Err(SourceError::Ambiguous { image: self.place().to_owned(), count, names });
            }
        }
        let mut all = Listing::default();
        listings.into_iter().for_each(|listing| all.merge(listing));
        let attestations = std::mem::take(&mut all.attestations);
        let mut chosen = self.choose_platform(all)?;
        for found in &mut chosen {
            let of_this = |(of, _): &&(Digest, Descriptor)| found.manifest_digest() == Some(of);
            found.attestations =
                attestations.iter().filter(of_this).map(|(_, listed)| listed.clone()).collect();
        }
        Ok(chosen)
    }

    /// All images listed. `index.json` says more than `manifest.json`, unless nothing it names is here: `docker save
    /// ID` of Docker 25 writes an index that lists nothing. An image listed under two names counts once.
    fn groups(&self) -> Result<Vec<ImageGroup>, SourceError> {
        let index = self.json::<ImageIndex>("index.json")?.map_or_else(Vec::new, |index| index.manifests);
        let saved = match index.iter().any(|entry| self.parts.has(&blob_name(&entry.digest))) {
            true => {
                self.check_saved(&index)?;
                Vec::new()
            }
            false => self.json::<Vec<SavedImage>>("manifest.json")?.unwrap_or_default(),
        };
        let mut groups: Vec<ImageGroup> = Vec::new();
        let mut places = HashMap::new();
        let mut add = |key: String, names: Vec<String>, root: ImagePieces| match places.get(&key) {
            Some(&place) => {
                let group: &mut ImageGroup = &mut groups[place];
                group.names.extend(names);
            }
            None => {
                places.insert(key, groups.len());
                groups.push(ImageGroup { names, root });
            }
        };
        for descriptor in if saved.is_empty() { index } else { Vec::new() } {
            let names = descriptor_names(&descriptor);
            add(descriptor.digest.to_string(), names, ImagePieces::Manifest(descriptor));
        }
        for image in saved.into_iter().take(MAX_IMAGES) {
            add(image.config.clone(), image.repo_tags.clone(), ImagePieces::Saved(image));
        }
        Ok(groups)
    }

    /// Docker's classic store loads what `manifest.json` names and ignores an index beside it, so both must mean the
    /// same images. An engine's own export always agrees.
    fn check_saved(&self, index: &[Descriptor]) -> Result<(), SourceError> {
        let is_archive = matches!(self.parts, ImageParts::Indexed(..) | ImageParts::Streamed(_));
        if !is_archive || self.inspected.identity.is_some() {
            return Ok(());
        }
        let Some(saved) = self.json::<Vec<SavedImage>>("manifest.json")? else { return Ok(()) };
        let mut listing = Listing::default();
        index.iter().try_for_each(|entry| self.expand(entry.clone(), 0, &mut listing))?;
        let mut configs = BTreeSet::new();
        for mut image in listing.images {
            // An image that is missing is not loaded either.
            if self.kind(&mut image).is_ok() {
                configs.extend(image.manifest.map(|manifest| manifest.config.digest));
            }
        }
        for image in saved {
            let (_, id) = self.config(&ImagePieces::Saved(image), None)?;
            if !configs.contains(&id) {
                return Err(SourceError::Malformed {
                    image: self.image.clone(),
                    name: "manifest.json".into(),
                    error: format!("it names an image, {id}, that `index.json` does not name"),
                });
            }
        }
        Ok(())
    }

    /// What a group consists of. If a digest is requested, only what has that digest.
    fn expand_group(&self, group: &ImageGroup, digest: Option<&str>) -> Result<Listing, SourceError> {
        let mut listing = Listing { names: group.names.clone(), ..Listing::default() };
        match &group.root {
            ImagePieces::Manifest(descriptor) => {
                listing.digest = Some(descriptor.digest.clone());
                self.expand(descriptor.clone(), 0, &mut listing)?;
            }
            ImagePieces::Saved(_) => {
                if digest.is_some() || group.names.is_empty() {
                    listing.digest = self.root_digest(&group.root);
                }
                let packed = group.root.clone();
                listing.images.push(Candidate { root: None, platform: None, packed, manifest: None });
            }
        }
        if digest.is_some() && listing.digest.as_ref().map(Digest::as_str) != digest {
            listing.images.retain(|image| image.digest().map(Digest::as_str) == digest);
            listing.others.clear();
        }
        Ok(listing)
    }

    /// Follows indexes down to manifests and skips what is not an image. Entries of an inner index that the layout
    /// lacks (the other platforms of an image that was pulled for one) are skipped too.
    fn expand(&self, descriptor: Descriptor, depth: u64, into: &mut Listing) -> Result<(), SourceError> {
        if let Some(what) = kind::of_entry(&descriptor) {
            let attests = descriptor.attests().filter(|_| into.attestations.len() < MAX_IMAGES);
            into.attestations.extend(attests.map(|of| (of, descriptor)));
            into.pass_over(what);
            return Ok(());
        }
        let platform = descriptor.platform.as_ref().and_then(|platform| platform.to_platform());
        let key = (descriptor.digest.clone(), platform.clone());
        // Read once, however often it is listed.
        if into.images.len() >= MAX_IMAGES || !into.seen.insert(key) {
            return Ok(());
        }
        let is_here = depth == 0 || self.parts.has(&blob_name(&descriptor.digest));
        let document = match depth > 0 && descriptor.is_manifest() {
            true => None,
            false => self.read(&descriptor)?,
        };
        let manifest = match document {
            Some(ChosenDocument::Index(index)) => {
                let most = self.budget.bounds.nesting;
                if depth >= most {
                    let refusal = Refusal::new("nesting", format!("indexes are nested over {most} deep"));
                    return Err(self.refused(&refusal));
                }
                return index.manifests.into_iter().try_for_each(|inner| self.expand(inner, depth + 1, into));
            }
            Some(ChosenDocument::Other(what)) => {
                into.pass_over(what);
                return Ok(());
            }
            Some(ChosenDocument::Manifest(manifest)) => Some(*manifest),
            None if !is_here || descriptor.is_index() => {
                into.lacks_some = true;
                return Ok(());
            }
            None => None,
        };
        into.images.push(Candidate {
            root: into.digest.clone(),
            platform,
            packed: ImagePieces::Manifest(descriptor),
            manifest,
        });
        Ok(())
    }

    /// An index or a manifest; `None` if it is not there.
    fn read(&self, descriptor: &Descriptor) -> Result<Option<ChosenDocument>, SourceError> {
        let Some(content) = self.manifest(&descriptor.digest)? else { return Ok(None) };
        let what = if descriptor.is_index() { "the index" } else { "the manifest" };
        check_digest(&self.image, what.into(), &descriptor.digest, &content)?;
        let name = blob_name(&descriptor.digest);
        let outline: Outline = self.parse(&name, &content)?;
        let stated = outline.artifact_type.clone().or(outline.media_type.clone()).unwrap_or_default();
        let stated = Descriptor { media_type: stated, ..descriptor.clone() };
        Ok(Some(if outline.is_index() {
            ChosenDocument::Index(self.parse(&name, &content)?)
        } else if outline.schema_version == Some(1) {
            ChosenDocument::Other(kind::SCHEMA_1.into())
        } else if let (None, Some(what)) = (&outline.config, kind::of_entry(&stated)) {
            ChosenDocument::Other(what)
        } else {
            ChosenDocument::Manifest(Box::new(self.parse(&name, &content)?))
        }))
    }

    /// The kind of a candidate, as its manifest says.
    fn kind(&self, candidate: &mut Candidate) -> Result<ManifestKind, SourceError> {
        let ImagePieces::Manifest(descriptor) = &candidate.packed else { return Ok(ManifestKind::Image) };
        if candidate.manifest.is_none() {
            let name = blob_name(&descriptor.digest);
            candidate.manifest = match self.found("the manifest", &name, self.read(descriptor)?)? {
                ChosenDocument::Manifest(manifest) => Some(*manifest),
                ChosenDocument::Other(what) => return Ok(ManifestKind::Other(what)),
                ChosenDocument::Index(_) => {
                    return Ok(ManifestKind::Other("an index, listed as a manifest".into()));
                }
            };
        }
        Ok(candidate
            .manifest
            .as_ref()
            .map_or(ManifestKind::Image, |manifest| ManifestKind::of(descriptor, manifest)))
    }

    /// Drops signatures and other things that lie beside an image, and listings that are part of another one. Something
    /// that cannot be read is most likely an image.
    fn images_alone(&self, listings: Vec<Listing>) -> Vec<Listing> {
        let mut kinds = Vec::new();
        for mut listing in listings {
            let mut best = None;
            for mut image in std::mem::take(&mut listing.images) {
                match self.kind(&mut image).unwrap_or(ManifestKind::Image) {
                    ManifestKind::Other(what) => listing.pass_over(what),
                    kind => {
                        best = best.into_iter().chain([kind]).min();
                        listing.images.push(image);
                    }
                }
            }
            kinds.push((best, listing));
        }
        let best = kinds.iter().filter_map(|(kind, _)| kind.clone()).min();
        let kept = kinds.into_iter().filter(|(kind, _)| *kind == best);
        let left: Vec<Listing> = kept.map(|(_, listing)| listing).collect();
        let digests = |listing: &Listing| -> BTreeSet<Digest> {
            listing.images.iter().filter_map(|image| image.digest().cloned()).collect()
        };
        let all: Vec<BTreeSet<Digest>> = left.iter().map(digests).collect();
        let is_listed_by = |one: usize, other: usize| {
            one != other && all[one].is_subset(&all[other]) && (all[one] != all[other] || other < one)
        };
        let is_extra =
            |one: usize| !all[one].is_empty() && (0..all.len()).any(|other| is_listed_by(one, other));
        left.into_iter().enumerate().filter(|(at, _)| !is_extra(*at)).map(|(_, listing)| listing).collect()
    }

    fn choose_platform(&self, listing: Listing) -> Result<Vec<ChosenImage>, SourceError> {
        let Listing { images, mut others, lacks_some, .. } = listing;
        let image = self.image.clone();
        let (wanted, usual) = match &self.platforms {
            Platforms::All => (None, false),
            Platforms::One(platform) => (Some(platform.clone()), false),
            Platforms::Usual => {
                (Some(self.inspected.platform.clone().unwrap_or_else(Platform::of_this_machine)), true)
            }
        };
        let fits = |own: &Platform| wanted.as_ref().is_none_or(|wanted| own.satisfies(wanted));
        let (near, far): (Vec<_>, Vec<_>) =
            images.into_iter().partition(|image| image.platform.as_ref().is_none_or(fits));
        let mut elsewhere: Vec<String> =
            far.iter().filter_map(|image| Some(image.platform.as_ref()?.to_string())).collect();
        let near = self.images(near, &mut others)?;
        let Some(wanted) = &wanted else {
            return if near.is_empty() {
                Err(self.no_image(others, lacks_some))
            } else {
                self.one_a_platform(near)
            };
        };
        let (near, mut left): (Vec<_>, Vec<_>) =
            near.into_iter().partition(|image| image.platform.as_ref().is_some_and(fits));
        if !near.is_empty() {
            return self.pick(self.one_a_platform(near)?, wanted);
        }
        elsewhere.extend(left.iter().filter_map(|image| Some(image.platform.as_ref()?.to_string())));
        if usual {
            // The only image is the one that is meant.
            match (far.len(), self.images(far, &mut others)) {
                (1, Err(error)) => return Err(error),
                (_, images) => left.extend(images.unwrap_or_default()),
            }
            left = self.one_a_platform(left)?;
            if left.len() == 1 {
                return Ok(left);
            }
        }
        let wanted = wanted.to_string();
        match (elsewhere.is_empty(), left.is_empty()) {
            (false, _) => {
                let mut seen = BTreeSet::new();
                elsewhere.retain(|platform| seen.insert(platform.clone()));
                Err(SourceError::NoSuchPlatform { image, wanted, platforms: elsewhere })
            }
            (true, false) => Err(SourceError::NoPlatform { image, wanted }),
            (true, true) => Err(self.no_image(others, lacks_some)),
        }
    }

    /// Reads the manifests and configs of the candidates, and keeps those most like an image.
    fn images(
        &self,
        candidates: Vec<Candidate>,
        others: &mut Vec<String>,
    ) -> Result<Vec<ChosenImage>, SourceError> {
        let mut kinds = Vec::new();
        for mut candidate in candidates {
            match self.kind(&mut candidate)? {
                ManifestKind::Other(what) if others.len() < MAX_OTHERS && !others.contains(&what) => {
                    others.push(what)
                }
                ManifestKind::Other(_) => {}
                ManifestKind::Marked => kinds.push((ManifestKind::Image, candidate)),
                kind => kinds.push((kind, candidate)),
            }
        }
        let best = kinds.iter().map(|(kind, _)| kind).min().cloned();
        let best = kinds.into_iter().filter(|(kind, _)| Some(kind) == best.as_ref());
        best.map(|(_, candidate)| self.with_config(candidate)).collect()
    }

    fn with_config(&self, candidate: Candidate) -> Result<ChosenImage, SourceError> {
        let Candidate { root, platform, packed, manifest } = candidate;
        let (config, id) = self.config(&packed, manifest.as_ref())?;
        // The index decides; the config may say the same more precisely.
        let own = config.platform();
        let platform = match (own, platform) {
            (Some(own), Some(listed)) if !own.satisfies(&listed) => Some(listed),
            (own, listed) => own.or(listed),
        };
        Ok(ChosenImage { root, platform, packed, manifest, config, id, attestations: Vec::new(), note: None })
    }

    /// Keeps the first of several images for one platform, as engines do, provided that all have the same layers: then
    /// they differ only in compression.
    fn one_a_platform(&self, images: Vec<ChosenImage>) -> Result<Vec<ChosenImage>, SourceError> {
        let mut rows: Vec<ChosenImage> = Vec::new();
        for image in images {
            let key = |image: &ChosenImage| image.platform.as_ref().map(Platform::canonical);
            let Some(row) = rows.iter_mut().find(|row| key(row) == key(&image)) else {
                rows.push(image);
                continue;
            };
            if row.config.rootfs.diff_ids != image.config.rootfs.diff_ids {
                let platform = row.platform.as_ref().map_or("no platform".into(), Platform::to_string);
                let names = [&*row, &image].map(|image| self.by_digest(image)).into();
                return Err(SourceError::SamePlatform { image: self.image.clone(), platform, names });
            }
            row.note.get_or_insert_with(|| note_of_twin(&self.image, &image));
        }
        Ok(rows)
    }

    /// The one image, of several for the requested platform.
    fn pick(
        &self,
        mut fitting: Vec<ChosenImage>,
        wanted: &Platform,
    ) -> Result<Vec<ChosenImage>, SourceError> {
        let exact = |image: &ChosenImage| {
            image.platform.as_ref().map(Platform::canonical) == Some(wanted.canonical())
        };
        let plain =
            |image: &ChosenImage| image.platform.as_ref().is_some_and(|own| own.os_features.is_empty());
        let only = |fits: &dyn Fn(&ChosenImage) -> bool| {
            let mut places = fitting.iter().enumerate().filter(|(_, image)| fits(image)).map(|(at, _)| at);
            places.next().filter(|_| places.next().is_none())
        };
        // Most engines match version and features for Windows only. Among other images for one machine they take the
        // first.
        let machine = |image: &ChosenImage| {
            let platform = image.platform.as_ref()?.canonical();
            (platform.os != "windows").then_some((platform.os, platform.architecture, platform.variant))
        };
        let is_first = |at: &usize| {
            let own = machine(&fitting[*at]);
            own.is_none() || !fitting[..*at].iter().any(|before| machine(before) == own)
        };
        let found = only(&exact).or_else(|| only(&|_| true)).or_else(|| only(&plain));
        match found.filter(is_first) {
            Some(at) => Ok(vec![fitting.swap_remove(at)]),
            None => {
                let platforms = fitting.iter().filter_map(|image| Some(image.platform.as_ref()?.to_string()));
                Err(SourceError::SeveralPlatforms {
                    image: self.image.clone(),
                    wanted: wanted.to_string(),
                    platforms: platforms.collect(),
                })
            }
        }
    }

    fn no_image(&self, others: Vec<String>, lacks_some: bool) -> SourceError {
        let image = self.image.clone();
        match (others.is_empty(), lacks_some) {
            (true, true) => {
                let (what, name) =
                    ("every image".into(), "the layout has none of those that its index lists".into());
                SourceError::Missing { image, what, name }
            }
            (true, false) => SourceError::Empty { image },
            (false, _) => SourceError::NoImage { image, found: kind::listed(&others) },
        }
    }

    /// The digest that an image can be named by: that of its manifest or index, else that of its config.
    fn root_digest(&self, root: &ImagePieces) -> Option<Digest> {
        match root {
            ImagePieces::Manifest(descriptor) => Some(descriptor.digest.clone()),
            ImagePieces::Saved(_) => self.config(root, None).map(|(_, id)| id).ok(),
        }
    }

    /// Where the image is, without the name that it was requested by.
    fn place(&self) -> &str {
        let name = self.wanted.as_ref().and_then(|wanted| self.prefixed.strip_suffix(wanted.as_str()));
        name.and_then(|place| place.strip_suffix(':')).unwrap_or(&self.prefixed)
    }

    /// How to request one of several images by its digest.
    fn by_digest(&self, image: &ChosenImage) -> String {
        let digest = match &image.packed {
            ImagePieces::Manifest(descriptor) => &descriptor.digest,
            ImagePieces::Saved(_) => &image.id,
        };
        let place = self.place();
        match place.strip_prefix("docker://") {
            Some(name) => format!("docker://{}@{digest}", ImageName::parse(name).repository),
            None if place.starts_with("docker-daemon:") => format!("docker-archive:FILE:@{digest}"),
            None => format!("{place}:@{digest}"),
        }
    }
}

impl ChosenImage {
    /// The digest of its manifest, if it has one.
    pub fn manifest_digest(&self) -> Option<&Digest> {
        match &self.packed {
            ImagePieces::Manifest(descriptor) => Some(&descriptor.digest),
            ImagePieces::Saved(_) => None,
        }
    }
}

impl Candidate {
    fn digest(&self) -> Option<&Digest> {
        match &self.packed {
            ImagePieces::Manifest(descriptor) => Some(&descriptor.digest),
            ImagePieces::Saved(_) => None,
        }
    }
}

impl Listing {
    fn is_empty(&self) -> bool {
        self.images.is_empty() && self.others.is_empty()
    }

    /// Whether both have the same names, and at least one. Sharing one name is not enough: engines write the full name
    /// and the tag, and many images have the same tag.
    fn is_called_as(&self, other: &Listing) -> bool {
        !self.names.is_empty() && self.names == other.names || std::ptr::eq(self, other)
    }

    fn merge(&mut self, other: Listing) {
        for image in other.images {
            let key = image.digest().map(|digest| (digest.clone(), image.platform.clone()));
            if key.is_none_or(|key| self.seen.insert(key)) {
                self.images.push(image);
            }
        }
        self.lacks_some |= other.lacks_some;
        self.attestations.extend(other.attestations);
        other.others.into_iter().for_each(|what| self.pass_over(what));
    }

    fn pass_over(&mut self, what: String) {
        if self.others.len() < MAX_OTHERS && !self.others.contains(&what) {
            self.others.push(what);
        }
    }
}

/// The note that an image exists a second time, and how that copy is compressed.
fn note_of_twin(image: &str, twin: &ChosenImage) -> String {
    let layers = twin.manifest.iter().flat_map(|manifest| &manifest.layers);
    let packed: BTreeSet<&str> = layers
        .map(|layer| match layer.media_type.rsplit(['+', '.']).next() {
            Some("zstd") => "with zstd",
            Some("gzip") => "with gzip",
            _ => "otherwise",
        })
        .collect();
    let packed: Vec<&str> = packed.into_iter().collect();
    format!(
        "{image} has the same layers once more, compressed {}; the first is measured",
        packed.join(" and ")
    )
}

fn descriptor_names(descriptor: &Descriptor) -> Vec<String> {
    let annotation = |key| descriptor.annotations.get(key).cloned();
    [annotation(CONTAINERD_NAME), annotation(REF_NAME)].into_iter().flatten().collect()
}

/// Whether two names, as people write them, mean one image: `app`, `app:latest` and `docker.io/library/app:latest` do,
/// and so does a bare tag in a layout.
fn same_name(name: &str, wanted: &str) -> bool {
    name == wanted || ImageName::parse(name).canonical() == ImageName::parse(wanted).canonical()
}

/// Names that identify the images: those that no other image has, else the digest. Left out is a tag that another name
/// of the same image ends in.
fn distinct_names(images: &[(&[String], Option<Digest>)]) -> Vec<String> {
    let mut users: HashMap<&str, usize> = HashMap::new();
    for (names, _) in images {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        names.into_iter().for_each(|name| *users.entry(name).or_default() += 1);
    }
    let mut all = BTreeSet::new();
    for (names, digest) in images {
        let is_tag = |name: &str| names.iter().any(|other| other.ends_with(&format!(":{name}")));
        let own: Vec<String> = names
            .iter()
            .filter(|name| users[name.as_str()] == 1 && !is_tag(name))
            .map(|name| excerpt(name))
            .collect();
        match (own.is_empty(), digest) {
            (false, _) => all.extend(own),
            (true, Some(digest)) => drop(all.insert(format!("@{digest}"))),
            (true, None) => {}
        }
    }
    all.into_iter().collect()
}
