//! An engine on another machine, reached as docker's own client does: `ssh HOST docker system
//! dial-stdio` for each connection. A socket of this process's own stands for it.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, copy_bidirectional, join};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

/// The most of ssh's own messages that is kept.
const MAX_MESSAGES: u64 = 4096;

/// Stands for a remote engine as long as it lives.
pub struct Tunnel {
    directory: tempfile::TempDir,
    messages: Arc<Mutex<String>>,
}

/// What `ssh://[USER@]HOST[:PORT]` means.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Target {
    fn parse(address: &str) -> Option<Target> {
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
        // Neither may be taken for an option of ssh, nor for a path.
        let plain = |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains('/');
        if !plain(host) || user.as_deref().is_some_and(|user| !plain(user)) {
            return None;
        }
        let port = port.map(|port| port.parse().map_err(|_| ())).transpose().ok()?;
        Some(Target { user, host: host.to_owned(), port })
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
    /// Opens the near end; the far end is reached when somebody connects.
    ///
    /// # Errors
    /// Where the address is none, or no socket can be made.
    pub fn open(address: &str) -> io::Result<Tunnel> {
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, "write the address as ssh://[USER@]HOST[:PORT]");
        let target = Target::parse(address).ok_or_else(invalid)?;
        let directory = tempfile::tempdir()?;
        let listener = UnixListener::bind(directory.path().join("engine.sock"))?;
        let messages = Arc::new(Mutex::new(String::new()));
        let heard = messages.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.command(), heard.clone()));
            }
        });
        Ok(Tunnel { directory, messages })
    }

    /// The near end's address.
    pub fn address(&self) -> String {
        format!("unix://{}", self.directory.path().join("engine.sock").display())
    }

    /// What ssh had to say, where something went wrong.
    pub fn messages(&self) -> Option<String> {
        let messages = self.messages.lock().ok()?.trim().to_owned();
        Some(messages).filter(|messages| !messages.is_empty())
    }
}

/// Carries one connection to its end.
async fn carry(mut near: UnixStream, mut command: Command, heard: Arc<Mutex<String>>) {
    let note = |text: String| {
        if let Ok(mut heard) = heard.lock() {
            *heard = text;
        }
    };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return note(format!("cannot run ssh: {error}")),
    };
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return;
    };
    let mut far = join(stdout, stdin);
    let mut text = Vec::new();
    let listen = async {
        let _ = stderr.take(MAX_MESSAGES).read_to_end(&mut text).await;
    };
    // Its end is the connection's: who asked then reads why from what it said.
    let (_, ()) = tokio::join!(copy_bidirectional(&mut near, &mut far), listen);
    note(String::from_utf8_lossy(&text).into_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_nothing_that_ssh_takes_for_an_option() {
        let target = |user: Option<&str>, host: &str, port| {
            Some(Target { user: user.map(str::to_owned), host: host.to_owned(), port })
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
            assert_eq!(Target::parse(address), expected, "{address}");
        }
    }
}
