//! Finds the baseline that an image is compared with, at the right commit or its nearest recorded ancestor, or says why
//! there is none.

use std::collections::BTreeSet;
use std::path::Path;

use super::ancestry::Ancestry;
use super::record::{ListedBaseline, Overview, StoreError};
use super::store::Store;
use crate::compare::baseline::{Missing, Reason, short};
use crate::image::platform::platform_key;
use crate::image::{Platform, Snapshot};

/// A matching baseline, and why it was chosen.
#[derive(Debug, Clone)]
pub struct FoundBaseline {
    /// The recorded image, without the files of its layers.
    pub snapshot: Snapshot,
    /// How many commits it is behind the commit to compare with, if known.
    pub distance: Option<u64>,
    /// Whether it belongs to exactly the commit to compare with.
    pub exact: bool,
    /// Why this one, in words.
    pub how: String,
}

/// Looks for baselines in a store.
pub struct BaselineFinder<'a> {
    store: &'a Store,
    ancestry: &'a mut Ancestry,
}

/// The matching baselines of the nearest commit that has any.
struct Nearest {
    distance: usize,
    records: Vec<ListedBaseline>,
}

impl<'a> BaselineFinder<'a> {
    /// Looks in a store, for baselines of these commits.
    pub fn new(store: &'a Store, ancestry: &'a mut Ancestry) -> BaselineFinder<'a> {
        BaselineFinder { store, ancestry }
    }

    /// The nearest baseline of an image of this name and platform, or why there is none. If it is the only image of its
    /// name, a baseline of another variant of its architecture will do: the image's author decides what variant it
    /// states.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn baseline(
        &mut self,
        image: &Snapshot,
        is_alone: bool,
    ) -> Result<Result<FoundBaseline, Missing>, StoreError> {
        match self.look(image, is_alone).await {
            // Falling back to an older baseline would be wrong.
            Err(StoreError::Record { place, error }) => {
                let is_newer = error.is_newer();
                let reason = if is_newer { Reason::Newer } else { Reason::Unreadable };
                // Readers of a comment need not know where the directory is.
                let place = match self.store {
                    Store::Directory(store) => Path::new(&place)
                        .strip_prefix(store.path())
                        .map_or(&*place, |path| path.to_str().unwrap_or(&place)),
                    _ => &place,
                };
                let message = format!("no usable baseline: {place}: {error}");
                Ok(Err(Missing { message, ..reason.into() }))
            }
            found => found,
        }
    }

    async fn look(
        &mut self,
        image: &Snapshot,
        is_alone: bool,
    ) -> Result<Result<FoundBaseline, Missing>, StoreError> {
        let name = &image.image.name;
        let platform = platform_key(image.image.platform.as_ref());
        if let Some(found) = self.find(name, &platform).await? {
            return Ok(Ok(found));
        }
        let overview = self.store.overview(name).await?;
        if let Some(other) = other_variant(&overview.platforms, &platform).filter(|_| is_alone)
            && let Some(found) = self.find(name, &other).await?
        {
            let how = format!("{}; recorded for {other}", found.how);
            return Ok(Ok(FoundBaseline { how, ..found }));
        }
        self.missing(name, &platform, overview).map(Err)
    }

    /// The baseline of one platform.
    async fn find(&mut self, name: &str, platform: &str) -> Result<Option<FoundBaseline>, StoreError> {
        if let Some(nearest) = self.nearest(name, Some(platform)).await? {
            let snapshot = self.store.load(&nearest.records[0]).await?;
            return Ok(Some(self.found(snapshot, nearest.distance)));
        }
        let of_platform =
            |records: Vec<ListedBaseline>| records.into_iter().find(|listed| listed.platform == platform);
        if let Some(before) = self.ancestry.before().map(str::to_owned)
            && let Some(listed) = of_platform(self.store.records(name, Some(&before), Some(platform)).await?)
        {
            let how = "the commit before the push; fetch more history to see how far behind it is".to_owned();
            let snapshot = self.store.load(&listed).await?;
            return Ok(Some(FoundBaseline { snapshot, distance: None, exact: false, how }));
        }
        if let Some(listed) = of_platform(self.store.records(name, None, Some(platform)).await?) {
            // Without a checkout, there are no commits to distinguish baselines by, so the one recorded without a
            // commit is exact.
            let (exact, how) = (self.ancestry.start().is_none(), "recorded without a commit".to_owned());
            let snapshot = self.store.load(&listed).await?;
            return Ok(Some(FoundBaseline { snapshot, distance: None, exact, how }));
        }
        Ok(None)
    }

    /// The nearest usable baseline, just to show how an image changed: no message if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    pub async fn nearest_record(&mut self, image: &Snapshot) -> Result<Option<Snapshot>, StoreError> {
        let platform = platform_key(image.image.platform.as_ref());
        let Some(nearest) = self.nearest(&image.image.name, Some(&platform)).await? else { return Ok(None) };
        match self.store.load(&nearest.records[0]).await {
            Err(StoreError::Record { .. }) => Ok(None),
            loaded => loaded.map(Some),
        }
    }

    /// The baselines of an image for all its platforms, at the nearest commit that has any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn platforms(&mut self, name: &str) -> Result<Vec<FoundBaseline>, StoreError> {
        let Some(nearest) = self.nearest(name, None).await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for listed in &nearest.records {
            // An unusable one is reported where its image is compared.
            match self.store.load(listed).await {
                Err(StoreError::Record { .. }) => {}
                loaded => found.push(self.found(loaded?, nearest.distance)),
            }
        }
        Ok(found)
    }

    async fn nearest(&mut self, name: &str, platform: Option<&str>) -> Result<Option<Nearest>, StoreError> {
        let mut distance = 0;
        while let Some(commit) = self.ancestry.commit(distance).await {
            let mut records = self.store.records(name, Some(&commit), platform).await?;
            records.retain(|listed| platform.is_none_or(|platform| listed.platform == platform));
            if !records.is_empty() {
                return Ok(Some(Nearest { distance, records }));
            }
            distance += 1;
        }
        Ok(None)
    }

    fn found(&self, snapshot: Snapshot, distance: usize) -> FoundBaseline {
        let (why, certain) = self.ancestry.start().map_or(("", false), |start| (start.why, start.certain));
        let how = match distance {
            0 if certain => format!("exact: {why}"),
            0 => why.to_owned(),
            1 => format!("1 commit behind {why}"),
            behind => format!("{behind} commits behind {why}"),
        };
        FoundBaseline {
            snapshot,
            distance: certain.then_some(distance as u64),
            exact: certain && distance == 0,
            how,
        }
    }

    fn missing(&mut self, name: &str, platform: &str, overview: Overview) -> Result<Missing, StoreError> {
        let Overview { commits, platforms, pruned } = overview;
        // Readers of a comment need not know where the directory is.
        let store = match self.store.directory() {
            Some(_) => "the store".to_owned(),
            None => self.store.describe(),
        };
        let reason = match self.ancestry.start() {
            _ if commits == 0 => Reason::NeverRecorded,
            // If no stored baseline names a platform, this is not about another platform.
            _ if !platforms.is_empty() && !platforms.contains(platform) => Reason::OtherPlatform,
            None => Reason::NoCommit,
            Some(_) if pruned > 0 => Reason::Expired,
            Some(_) => Reason::OutOfReach,
        };
        // The right commit may be one that GitHub could not tell.
        if matches!(reason, Reason::Expired | Reason::OutOfReach)
            && let Some(problem) = self.ancestry.take_problem()
        {
            return Err(StoreError::Ancestry(problem));
        }
        let recorded = match commits {
            1 => "1 commit".to_owned(),
            many => format!("{many} commits"),
        };
        let looked = match (self.ancestry.start(), self.ancestry.looked_at()) {
            (Some(start), 0 | 1) => short(&start.sha),
            (Some(start), many) => format!("{} or the {} before it", short(&start.sha), many - 1),
            (None, _) => String::new(),
        };
        let message = match reason {
            Reason::NeverRecorded => format!("no baseline: {name} is not recorded in {store} yet"),
            Reason::OtherPlatform => {
                format!("no baseline: {name} is recorded only for {}, not for {platform}", listed(&platforms))
            }
            Reason::NoCommit => {
                format!("no baseline: {store} has {name} for {recorded}, but the base commit is unknown")
            }
            Reason::Expired => format!(
                "no baseline: {store} has {name} for {recorded}, but not for {looked}; {pruned} older baselines were removed"
            ),
            Reason::Unreadable | Reason::Newer | Reason::Incomparable => reason.words().0.to_owned(),
            Reason::OutOfReach => {
                format!("no baseline near enough: {store} has {name} for {recorded}, but not for {looked}")
            }
        };
        Ok(Missing { message, ..reason.into() })
    }
}

/// The only recorded platform with the same operating system and architecture as one that is not recorded.
pub fn other_variant(recorded: &BTreeSet<String>, platform: &str) -> Option<String> {
    let machine = |text: &str| text.parse::<Platform>().ok().map(|one| (one.os, one.architecture));
    let wanted = machine(platform).filter(|_| !recorded.contains(platform))?;
    let mut alike = recorded.iter().filter(|other| machine(other).as_ref() == Some(&wanted));
    alike.next().cloned().filter(|_| alike.next().is_none())
}

fn listed(platforms: &BTreeSet<String>) -> String {
    platforms.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
