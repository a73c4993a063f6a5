//! An engine on another machine, reached as docker's own client does: `ssh HOST docker system dial-stdio` for each
//! connection. A local socket of this process stands in for it.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, copy_bidirectional, join};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::sync::watch;

/// Maximum bytes kept of ssh's own messages.
const MAX_MESSAGES: u64 = 4096;
/// How long ssh may take to print the rest once the connection has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long to wait for them: the end of the connection and ssh's messages arrive separately.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stand-in for a remote engine, as long as it lives.
pub struct Tunnel {
    directory: tempfile::TempDir,
    /// What ssh printed on the last connection to end, once one has.
    ended: watch::Receiver<Option<String>>,
}

/// A parsed `ssh://[USER@]HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TunnelTarget {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl TunnelTarget {
    fn parse(address: &str) -> Option<TunnelTarget> {
        let rest = address.strip_prefix("ssh://")?.trim_end_matches('/');
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = match (rest.strip_prefix('['), rest.rsplit_once(':')) {
            (Some(bracketed), _) => {
                let (host, rest) = bracketed.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            (None, Some((host, port))) => (host, Some(port)),
            (None, None) => (rest, None),
        };
        // Neither may be mistaken for an option of ssh, nor for a path.
        let plain = |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains('/');
        if !plain(host) || user.as_deref().is_some_and(|user| !plain(user)) {
            return None;
        }
        let port = port.map(|port| port.parse().map_err(|_| ())).transpose().ok()?;
        Some(TunnelTarget { user, host: host.to_owned(), port })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-o", "ConnectTimeout=30", "-T"]);
        command.args(self.user.iter().flat_map(|user| ["-l", user]));
        command.args(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        command.args(["--", &self.host, "docker", "system", "dial-stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Tunnel {
    /// Opens the near end; the far end is contacted when somebody connects.
    ///
    /// # Errors
    /// If the address is invalid, or no socket can be made.
    pub fn open(address: &str) -> io::Result<Tunnel> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, "write the address as ssh://[USER@]HOST[:PORT]");
        let target = TunnelTarget::parse(address).ok_or_else(invalid)?;
        let directory = tempfile::tempdir()?;
        let listener = UnixListener::bind(directory.path().join("engine.sock"))?;
        let (end, ended) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (command, end) = (target.command(), end.clone());
                tokio::spawn(async move {
                    let said = carry(near, command).await;
                    end.send_replace(Some(said));
                });
            }
        });
        Ok(Tunnel { directory, ended })
    }

    /// The near end's address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("engine.sock").display())
    }

    /// What ssh printed, after a connection that failed.
    pub async fn messages(&self) -> Option<String> {
        let mut ended = self.ended.clone();
        let said = tokio::time::timeout(PATIENCE, ended.wait_for(Option::is_some)).await.ok()?.ok()?;
        said.as_deref().map(str::trim).filter(|said| !said.is_empty()).map(str::to_owned)
    }
}

/// Carries one connection to its end, and returns what ssh printed meanwhile.
async fn carry(mut near: UnixStream, mut command: Command) -> String {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return format!("cannot run ssh: {error}"),
    };
    let (Some(stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return String::new();
    };
    let mut far = join(stdout, stdin);
    let mut said = Vec::new();
    let listen = async {
        let _ = (&mut stderr).take(MAX_MESSAGES).read_to_end(&mut said).await;
        // Nobody reads what follows, but ssh must not block on a full pipe.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    };
    {
        tokio::pin!(listen);
        let carried = copy_bidirectional(&mut near, &mut far);
        tokio::pin!(carried);
        tokio::select! {
            _ = &mut listen => drop(carried.await),
            // A leftover process of ssh may hold its standard error open, but the messages are there soon.
            _ = &mut carried => drop(tokio::time::timeout(LAST_WORDS, &mut listen).await),
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_nothing_that_ssh_takes_for_an_option() {
        let target = |user: Option<&str>, host: &str, port| {
            Some(TunnelTarget { user: user.map(str::to_owned), host: host.to_owned(), port })
        };
        for (address, expected) in [
            ("ssh://host", target(None, "host", None)),
            ("ssh://me@host:2222/", target(Some("me"), "host", Some(2222))),
            ("ssh://me@[::1]:22", target(Some("me"), "::1", Some(22))),
            ("ssh://", None),
            ("ssh://-oProxyCommand=x", None),
            ("ssh://-l@host", None),
            ("ssh://host:port", None),
            ("ssh://host/path", None),
        ] {
            assert_eq!(TunnelTarget::parse(address), expected, "{address}");
        }
    }
}
