#!/bin/sh
# Finds the program that the action runs, and says where it is: GITHUB_OUTPUT gets `binary`; for the command
# `install` its directory is put on the PATH.
#
# In this order: the program that the input `binary` names; a release that `manifest` beside this script lists,
# downloaded; one built from the action's own source. What is downloaded is run only if it has the SHA-256 that
# the manifest says. The manifest is part of the commit that the workflow pins, so pinning the action's commit
# pins the program. Nothing here has a token, and none is sent.
#
# Plain sh: it runs with the bash 3.2 of macOS, Git's bash on Windows, dash and busybox.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/manifest
releases=https://github.com/layergate/layergate/releases/download

# A message as a workflow command: it ends at a line's end, so what is inside is escaped.
say() { # KIND TEXT
  printf '::%s title=layergate::' "$1"
  printf '%s' "$2" | tr '\r' ' ' | sed -e 's/%/%25/g' | awk 'NR > 1 { printf "%%0A" } { printf "%s", $0 } END { print "" }'
}

fail() {
  say error "$1"
  exit 2
}

found() { # PROGRAM
  echo "binary=$1" >>"$GITHUB_OUTPUT"
  if [ "${ACTION_COMMAND:-}" = install ]; then
    dirname "$1" >>"$GITHUB_PATH"
  fi
  exit 0
}

# A path of Windows as bash has it.
slashes() { printf '%s' "$1" | tr '\134' /; }

# Each of the words on standard input once, as a list.
listed() { awk '!seen[$0]++ { printf "%s%s", (NR > 1 ? ", " : ""), $0 }'; }

# The lines of the manifest: VERSION TARGET SHA-256 FILE, newest version first.
entries() { grep -v '^#' "$manifest" | tr -d '\r'; }

# What this runner is, as Rust names its targets.
target() {
  case ${RUNNER_OS:-$(uname -s)}/${RUNNER_ARCH:-$(uname -m)} in
    Linux/X64 | Linux/x86_64) echo x86_64-unknown-linux-musl ;;
    Linux/ARM64 | Linux/aarch64) echo aarch64-unknown-linux-musl ;;
    macOS/X64 | Darwin/x86_64) echo x86_64-apple-darwin ;;
    macOS/ARM64 | Darwin/arm64) echo aarch64-apple-darwin ;;
    Windows/X64) echo x86_64-pc-windows-msvc ;;
    # The system runs programs for x86-64 as well.
    Windows/ARM64) echo x86_64-pc-windows-msvc ;;
    *) echo "${RUNNER_OS:-$(uname -s)}-${RUNNER_ARCH:-$(uname -m)}" ;;
  esac
}

# The SHA-256 of a file. It is read from standard input, for its name may have a backslash.
sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi | awk '{ print tolower($1); exit }'
}

# One try. What is printed is the HTTP status, 000 where it is not known.
fetch() { # URL FILE
  if command -v curl >/dev/null; then
    # Of a mirror that is named by its address it may be plain HTTP: what counts is the SHA-256.
    case $1 in http:*) protocols='=http,https' ;; *) protocols='=https' ;; esac
    curl --fail --silent --show-error --location --proto "$protocols" --connect-timeout 20 --max-time 300 \
      --write-out '%{http_code}' --output "$2" "$1"
  else
    echo 000
    wget -q -T 60 -O "$2" "$1" || {
      echo "wget ended with $?" >&2
      return 1
    }
  fi
}

download() { # URL FILE
  command -v curl >/dev/null || command -v wget >/dev/null ||
    fail "There is neither curl nor wget to download layergate with. Install one, or name a program that is there as the input \`binary\`."
  pause=1
  for try in 1 2 3 4 5; do
    status=$(fetch "$1" "$2" 2>"$2.error") && return
    reason=$(tr '\n' ' ' <"$2.error")
    rm -f "$2"
    # What is not there now will not be there in a moment; of all else another try may do.
    case $status in 408 | 429) ;; 4??) break ;; esac
    [ "$try" -eq 5 ] && break
    echo "cannot download $1 (${reason% }), trying again in $pause s"
    sleep "$pause"
    pause=$((pause * 2))
  done
  fail "Cannot download $1: ${reason% }. Name a mirror of the releases as the input \`download-url\`, a program that is there as \`binary\`, or build with \`version: source\`."
}

from_source() {
  command -v cargo >/dev/null || fail "$1, and there is no cargo to build it with. Pin a release of the action, install a Rust toolchain before this step, or name a program that is there as the input \`binary\`."
  echo "$1: building it from the action's own source"
  build=$(slashes "$RUNNER_TEMP")/layergate-build
  # In the action's own directory, so that the workspace's toolchain and cargo settings have no say; and a build
  # script has no business with tokens that the job may have.
  (
    cd "$here/.."
    unset GITHUB_TOKEN GH_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN CARGO_BUILD_TARGET
    cargo build --quiet --release --locked --target-dir "$build" --bin layergate
  ) || fail "layergate cannot be built from the action's own source: see above."
  program=$build/release/layergate
  [ -f "$program" ] || program=$program.exe
  found "$program"
}

released() { # VERSION
  entries | awk -v version="$1" '$1 == version' | grep -q . ||
    fail "This commit of the action knows no layergate $1, but: $(entries | awk '{ print $1 }' | listed). Take one of those, pin another commit of the action, or build with \`version: source\`."
  target=$(target)
  entry=$(entries | awk -v version="$1" -v target="$target" '$1 == version && $2 == target')
  [ -n "$entry" ] ||
    fail "There is no layergate $1 for $target, but for: $(entries | awk -v version="$1" '$1 == version { print $2 }' | listed). Build it with \`version: source\`, or name a program that is there as the input \`binary\`."
  expected=$(printf '%s\n' "$entry" | awk '{ print tolower($3); exit }')
  file=$(printf '%s\n' "$entry" | awk '{ print $4; exit }')
  from=${ACTION_DOWNLOAD_URL:-$releases}

  tools=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}
  directory=$(slashes "$tools")/layergate/$1/$target
  if ! mkdir -p "$directory" 2>/dev/null || ! [ -w "$directory" ]; then
    directory=$(slashes "$RUNNER_TEMP")/layergate/$1/$target
    mkdir -p "$directory"
  fi
  program=$directory/layergate
  case $file in *.exe) program=$program.exe ;; esac
  # Earlier jobs could write to the tool cache, so what is in there is believed as little as a download.
  if [ -f "$program" ] && [ "$(sha256 "$program")" = "$expected" ]; then
    echo "layergate $1 for $target, from the tool cache, with the SHA-256 $expected"
    found "$program"
  fi
  part=$directory/download.$$
  trap 'rm -f "$part" "$part.error"' EXIT
  download "${from%/}/v$1/$file" "$part"
  actual=$(sha256 "$part")
  [ "$actual" = "$expected" ] ||
    fail "What was downloaded from ${from%/}/v$1/$file has the SHA-256 $actual, and this commit of the action says $expected. It was not run, and is deleted."
  chmod 755 "$part"
  mv -f "$part" "$program"
  echo "layergate $1 for $target, downloaded, with the SHA-256 $expected"
  found "$program"
}

if [ -n "${ACTION_BINARY:-}" ]; then
  program=$(command -v "$ACTION_BINARY") || fail "The input \`binary\` is $ACTION_BINARY, and there is no such program."
  case $program in
    /* | ?:*) ;;
    *) program=$PWD/$program ;;
  esac
  found "$program"
fi
version=${ACTION_VERSION:-}
version=${version#v}
case $version in
  source) from_source "version is source" ;;
  "")
    [ -f "$manifest" ] || from_source "This commit of the action is no release"
    version=$(entries | awk '{ print $1; exit }')
    ;;
  *) [ -f "$manifest" ] || fail "The input \`version\` is $version, and this commit of the action is no release, so it knows none. Pin a release of the action." ;;
esac
released "$version"
