//! Where a registry may lead: by a redirect, to an upload location, to its token service.
//!
//! The user chooses the registry, but the registry chooses where its answers lead. Blobs are often kept on another
//! host, so links are followed, but never from HTTPS to plain HTTP, and not to loopback or link-local addresses (this
//! machine, and the metadata services of clouds) unless the registry has such an address itself. Names count as the
//! addresses that they have at the moment of connecting. Behind a proxy, the proxy resolves names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

/// How many redirects are followed, as by most clients.
const MAX_REDIRECTS: usize = 10;

/// Decides which links of a registry are followed.
#[derive(Clone)]
pub(super) struct LinkPolicy(Arc<Registry>);

struct Registry {
    /// Its own host, without a port.
    host: String,
    /// Where that host is, once known.
    place: OnceLock<AddressScope>,
    /// Hosts of proxies, which are connected to whatever the target.
    proxies: Vec<String>,
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressScope {
    /// This machine (loopback).
    Machine,
    /// The network segment that this machine is connected to (link-local).
    Segment,
    /// Anywhere else.
    Elsewhere,
}

/// A link that is not followed.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// The refusal that caused a failed request, if any.
    pub fn of<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Refused> {
        let mut error = Some(error);
        while let Some(inner) = error {
            if let Some(refused) = inner.downcast_ref::<Refused>() {
                return Some(refused);
            }
            error = inner.source();
        }
        None
    }
}

impl LinkPolicy {
    /// The policy for the registry at an address.
    pub fn of(base: &Url) -> LinkPolicy {
        let place = OnceLock::new();
        if let Some(known) = stated_place(base) {
            let _ = place.set(known);
        }
        let host = base.host_str().unwrap_or_default().to_owned();
        LinkPolicy(Arc::new(Registry { host, place, proxies: proxies() }))
    }

    /// The redirect policy for the HTTP client.
    pub fn policy(&self) -> Policy {
        let links = self.clone();
        Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error(Refused(format!("it redirects more than {MAX_REDIRECTS} times")));
            }
            let from = attempt.previous().last();
            match from.map_or(Ok(()), |from| links.check(from, attempt.url())) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            }
        })
    }

    /// Whether an answer from one address may lead to another.
    ///
    /// # Errors
    /// [`Refused`], with the target and why it is not followed.
    pub fn check(&self, from: &Url, to: &Url) -> Result<(), Refused> {
        let shown = shown(to);
        if !matches!(to.scheme(), "http" | "https") {
            return Err(Refused(format!("it points to {shown}, which is not a web address")));
        }
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err(Refused(format!(
                "it points from HTTPS to plain HTTP, at {shown}, which layergate does not follow"
            )));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(Refused(format!(
                "it points to {shown} with a login in the address, which layergate does not follow"
            )));
        }
        match stated_place(to) {
            Some(place) if to.host_str() != Some(&self.0.host) && !self.may_lead_to(place) => {
                Err(refusal(&shown, place))
            }
            _ => Ok(()),
        }
    }

    /// Whether a login may be sent to the token service `realm` of the registry at `base`: over HTTPS to any host, as
    /// Docker does; over plain HTTP only to the registry's own host, or if both are on this machine.
    pub fn may_have_login(&self, base: &Url, realm: &Url) -> bool {
        let on_machine = |url: &Url| stated_place(url) == Some(AddressScope::Machine);
        realm.scheme() == "https"
            || realm.host_str() == base.host_str()
            || (on_machine(base) && on_machine(realm))
    }

    fn may_lead_to(&self, place: AddressScope) -> bool {
        place == AddressScope::Elsewhere || self.0.place.get() == Some(&place)
    }

    /// Those addresses of a name that may be connected to.
    fn allowed(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let registry = &self.0;
        // A link to `localhost` was refused before, so here it is a proxy's name.
        if name == "localhost" || registry.proxies.iter().any(|proxy| proxy == name) {
            return Ok(found);
        }
        let place = place_of_all(&found);
        if name == registry.host {
            // Set only once: otherwise a registry that moves here between two answers could lead here by its own name.
            registry.place.get_or_init(|| place);
        }
        let reachable = |address: &SocketAddr| self.may_lead_to(place_of(address.ip()));
        let allowed: Vec<SocketAddr> = found.iter().copied().filter(reachable).collect();
        if allowed.is_empty() && !found.is_empty() { Err(refusal(name, place)) } else { Ok(allowed) }
    }
}

impl Resolve for LinkPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let links = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = links.allowed(name.as_str(), found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// An address for people, without what follows the host: that may contain a token.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn refusal(target: &str, place: AddressScope) -> Refused {
    let kind =
        if place == AddressScope::Machine { "an address of this machine" } else { "a link-local address" };
    Refused(format!(
        "it points to {target}, {kind}, which layergate does not follow from a registry elsewhere"
    ))
}

/// The scope of a host by its text alone: an address, or a name that always means this machine (RFC 6761, "localhost").
pub(super) fn stated_place(url: &Url) -> Option<AddressScope> {
    // The URL library normalizes every notation of an IPv4 address.
    let name = url.host_str()?.trim_end_matches('.');
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name).parse();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    address.map_or(is_local.then_some(AddressScope::Machine), |address| Some(place_of(address)))
}

fn place_of(address: IpAddr) -> AddressScope {
    match address.to_canonical() {
        // Connecting to the unspecified address connects to this machine.
        address if address.is_loopback() || address.is_unspecified() => AddressScope::Machine,
        IpAddr::V4(address) if address.is_link_local() => AddressScope::Segment,
        IpAddr::V6(address) if address.is_unicast_link_local() => AddressScope::Segment,
        _ => AddressScope::Elsewhere,
    }
}

fn place_of_all(addresses: &[SocketAddr]) -> AddressScope {
    let all = |place| addresses.iter().all(|address| place_of(address.ip()) == place);
    match addresses {
        [] => AddressScope::Elsewhere,
        _ if all(AddressScope::Machine) => AddressScope::Machine,
        _ if all(AddressScope::Segment) => AddressScope::Segment,
        _ => AddressScope::Elsewhere,
    }
}

/// The hosts of the proxies that the environment names.
fn proxies() -> Vec<String> {
    let names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"];
    let host = |name| {
        let value = std::env::var(name).ok()?;
        let url = Url::parse(&value).ok().filter(Url::has_host);
        url.or_else(|| Url::parse(&format!("http://{value}")).ok())?.host_str().map(str::to_owned)
    };
    names.into_iter().filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_registry_elsewhere_leads_neither_here_nor_to_its_segment() {
        let base = url("https://registry.example/v2/");
        let links = LinkPolicy::of(&base);
        for refused in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1:8443/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://x.localhost/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[fe80::1]/",
            "http://cdn.example/",
            "http://registry.example/",
            "https://me:secret@cdn.example/",
            "https://me@cdn.example/",
            "file:///etc/passwd",
            "ftp://cdn.example/",
        ] {
            let error = links.check(&base, &url(refused)).unwrap_err().to_string();
            assert!(!error.contains("secret") && error.starts_with("it points "), "{refused}: {error}");
        }
        for followed in ["https://cdn.example/x?sig=1", "https://10.0.0.7/", "https://registry.example:8443/"]
        {
            links.check(&base, &url(followed)).unwrap();
        }
    }

    #[test]
    fn a_registry_here_leads_here_and_no_other_way() {
        for base in ["http://localhost:5000/v2/", "http://127.0.0.1:5000/v2/", "http://[::1]:5000/v2/"] {
            let base = url(base);
            let links = LinkPolicy::of(&base);
            for followed in ["http://127.0.0.2/", "http://localhost:1/", "https://cdn.example/"] {
                links.check(&base, &url(followed)).unwrap();
            }
            assert!(links.check(&base, &url("http://169.254.169.254/")).is_err());
        }
        let segment = url("http://169.254.3.4:5000/v2/");
        assert!(LinkPolicy::of(&segment).check(&segment, &url("http://127.0.0.1/")).is_err());
        LinkPolicy::of(&segment).check(&segment, &url("http://169.254.3.5/")).unwrap();
    }

    #[test]
    fn a_name_counts_as_its_addresses() {
        let links = LinkPolicy::of(&url("https://registry.example/v2/"));
        for local in [&["127.0.0.1"][..], &["::1", "127.0.0.1"], &["169.254.169.254"], &["0.0.0.0"]] {
            assert!(links.allowed("cdn.example", addresses(local)).is_err(), "{local:?}");
        }
        let both = links.allowed("cdn.example", addresses(&["127.0.0.1", "203.0.113.7"])).unwrap();
        assert_eq!(both, addresses(&["203.0.113.7"]));
        // A registry may be named by this machine, and then leads here.
        let here = LinkPolicy::of(&url("http://registry.test:5000/v2/"));
        assert_eq!(here.allowed("registry.test", addresses(&["127.0.0.1"])).unwrap().len(), 1);
        assert_eq!(here.allowed("other.test", addresses(&["127.0.0.1"])).unwrap().len(), 1);
        // But it must not move here.
        links.allowed("registry.example", addresses(&["203.0.113.7"])).unwrap();
        assert!(links.allowed("registry.example", addresses(&["127.0.0.1"])).is_err());
    }

    #[test]
    fn a_login_goes_to_another_host_over_https_only() {
        let may = |base: &str, realm: &str| {
            let base = url(base);
            LinkPolicy::of(&base).may_have_login(&base, &url(realm))
        };
        assert!(may("https://registry.example/v2/", "https://auth.example/token"));
        assert!(may("http://registry.example:5000/v2/", "https://auth.example/token"));
        assert!(may("http://registry.example:5000/v2/", "http://registry.example:5001/token"));
        assert!(may("http://localhost:5000/v2/", "http://127.0.0.1:5001/token"));
        assert!(!may("http://registry.example:5000/v2/", "http://auth.example/token"));
        assert!(!may("http://localhost:5000/v2/", "http://auth.example/token"));
    }
}
