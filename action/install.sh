#!/bin/sh
# Finds the program that the action runs, and reports where it is: GITHUB_OUTPUT gets `binary`; for the command
# `install` its directory is added to the PATH.
#
# In this order: the program that the input `binary` names; a release that `manifest` beside this script lists,
# downloaded; one built from the action's own source. A download is run only if it has the SHA-256 in the manifest. The
# manifest is part of the commit that the workflow pins, so pinning the action's commit pins the program. Nothing here
# has a token, and none is sent.
#
# Plain sh: it runs with the bash 3.2 of macOS, Git's bash on Windows, dash and busybox.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/manifest
releases=https://github.com/layergate/layergate/releases/download
# Bytes; far more than the program has.
most=50000000
# The limit for `ulimit -f`, and the least number of bytes that it may stand for.
most_blocks=$((most / 1024))
most_written=$((most_blocks * 512))

# A text for the log. The runner takes commands from it: at the start of a line, or after `##[` anywhere.
plain() { printf '%s' "$1" | tr '\r' ' ' | sed -e 's/##\[/## [/g'; }

# A message as a workflow command: it ends at the end of the line, so its content is escaped.
say() { # KIND TEXT
  printf '::%s title=layergate::' "$1"
  plain "$2" | sed -e 's/%/%25/g' | awk 'NR > 1 { printf "%%0A" } { printf "%s", $0 } END { print "" }'
}

fail() {
  say error "$1"
  exit 2
}

# A Windows path in bash's form.
slashes() { printf '%s' "$1" | tr '\134' /; }

# A URL as it may be shown: without a login.
shown() { printf '%s' "$1" | sed -e 's#//[^/@]*@#//***@#'; }

found() { # PROGRAM
  if [ ! -f "$1" ] || [ ! -x "$1" ]; then
    fail "$1 cannot be run. Name a program as the input \`binary\`, or leave that out."
  fi
  # The user's steps may use another shell, which does not know the paths of Git's bash.
  program=$(cygpath -m "$1" 2>/dev/null) || program=$1
  echo "binary=$program" >>"$GITHUB_OUTPUT"
  if [ "$command" = install ]; then
    dirname "$program" >>"$GITHUB_PATH"
  fi
  exit 0
}

# The distinct lines of standard input, as a list.
listed() { awk '!seen[$0]++ { printf "%s%s", (NR > 1 ? ", " : ""), $0 }'; }

# The lines of the manifest: VERSION TARGET SHA-256 FILE, newest version first.
entries() { grep -v '^#' "$manifest" | tr -d '\r'; }

# A field in the manifest entries of a version and, if given, a target.
field() { # NUMBER VERSION [TARGET]
  entries | number=$1 version=$2 target=${3:-} awk \
    '$1 == ENVIRON["version"] && (ENVIRON["target"] == "" || $2 == ENVIRON["target"]) { print $ENVIRON["number"] }'
}

# This runner's platform, as a Rust target.
target() {
  case ${RUNNER_OS:-$(uname -s)}/${RUNNER_ARCH:-$(uname -m)} in
    Linux/X64 | Linux/x86_64) echo x86_64-unknown-linux-musl ;;
    Linux/ARM64 | Linux/aarch64) echo aarch64-unknown-linux-musl ;;
    macOS/X64 | Darwin/x86_64) echo x86_64-apple-darwin ;;
    macOS/ARM64 | Darwin/arm64) echo aarch64-apple-darwin ;;
    Windows/X64) echo x86_64-pc-windows-msvc ;;
    # This system also runs programs for x86-64.
    Windows/ARM64) echo x86_64-pc-windows-msvc ;;
    *) echo "${RUNNER_OS:-$(uname -s)}-${RUNNER_ARCH:-$(uname -m)}" ;;
  esac
}

# The SHA-256 of a file. It is read from standard input, because its name may contain a backslash.
sha256() {
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi | awk '{ print tolower($1); exit }'
}

# Runs a command that must not write a file of over $most bytes: the length that a server claims may be wrong, or
# missing. Shells count the limit in blocks of 512 bytes or in KiB, so it is half of that or all of it. Windows has no
# such limit.
capped() { # COMMAND...
  (
    ulimit -f "$most_blocks" 2>/dev/null || :
    # Exceeding the limit then causes a write error instead of ending the program (SIGXFSZ).
    trap '' XFSZ 2>/dev/null || :
    exec "$@"
  )
}

# One try. Prints the HTTP status, 000 if unknown.
fetch() { # URL FILE
  if command -v curl >/dev/null; then
    # The user's settings do not apply (-q must come first). A mirror given as an http: URL may be plain HTTP: the
    # SHA-256 is what counts.
    case $1 in http:*) protocols='=http,https' ;; *) protocols='=https' ;; esac
    capped curl -q --fail --silent --show-error --location --proto "$protocols" --connect-timeout 20 --max-time 300 \
      --max-filesize "$most" --globoff --write-out '%{http_code}' --output "$2" --url "$1"
  else
    echo 000
    limit=
    if command -v timeout >/dev/null; then limit='timeout 300'; fi
    # wget does not accept a device as its settings file, so this is an empty file.
    : >"$work/none"
    export WGETRC="$work/none" SYSTEM_WGETRC="$work/none"
    # shellcheck disable=SC2086 # empty, or a command and its argument
    capped $limit wget -q -T 60 -O "$2" "$1" || {
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
    unset reason
    status=$(fetch "$1" "$2" 2>"$work/error") || reason=$(shown "$(tr '\n' ' ' <"$work/error")")
    rm -f "$work/error" "$work/none"
    if [ -z "${reason+set}" ]; then return; fi
    if [ -f "$2" ] && [ "$(wc -c <"$2")" -ge "$most_written" ]; then
      rm -f "$2"
      reason="it is far larger than layergate"
      break
    fi
    rm -f "$2"
    # A missing file will still be missing in a moment; any other error may pass.
    case $status in 408 | 429) ;; 4??) break ;; esac
    [ "$try" -eq 5 ] && break
    plain "cannot download $(shown "$1") (${reason% }), trying again in $pause s"
    echo
    sleep "$pause"
    pause=$((pause * 2))
  done
  fail "Cannot download $(shown "$1"): ${reason% }. Name a mirror of the releases as the input \`download-url\`, a program that is there as \`binary\`, or build with \`version: source\`."
}

from_source() {
  command -v cargo >/dev/null || fail "$1, and there is no cargo to build it with. Pin a release of the action, install a Rust toolchain before this step, or name a program that is there as the input \`binary\`."
  build=$temporary/layergate-build
  made_from=$(source_hash)
  program=$build/release/layergate
  [ -f "$program" ] || program=$program.exe
  # An earlier step, or a cache that the workflow restored, may have built it.
  if [ -f "$program" ] && [ "$(cat "$build/source" 2>/dev/null)" = "$made_from" ]; then
    echo "$1: built before from the same source"
    found "$program"
  fi
  echo "$1: building it from the action's own source"
  rm -f "$build/source"
  # In the action's own directory, so that the workspace's toolchain and cargo settings do not apply; and without tokens
  # of the job, which build scripts must not see.
  (
    cd "$here/.." || exit
    unset GITHUB_TOKEN GH_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN CARGO_BUILD_TARGET
    cargo build --quiet --release --locked --target-dir "$build" --bin layergate
  ) || fail "layergate cannot be built from the action's own source: see above."
  printf '%s' "$made_from" >"$build/source"
  program=$build/release/layergate
  [ -f "$program" ] || program=$program.exe
  found "$program"
}

# A hash of what the program is built from: the names and contents of the source, and the compiler.
source_hash() {
  (
    cd "$here/.." || exit
    find Cargo.toml Cargo.lock src schema web/dist -type f | LC_ALL=C sort >"$work/names"
    { cat "$work/names" && xargs cat <"$work/names" && rustc -vV 2>/dev/null; } >"$work/source" || :
    sha256 "$work/source"
    rm -f "$work/names" "$work/source"
  )
}

# Keeps a copy for the next job on this runner. It is only a convenience, so failures are ignored.
keep() { # PROGRAM CACHED
  if [ -z "$2" ] || [ -d "$2" ] || ! mkdir -p "$(dirname "$2")"; then return; fi
  part=$(mktemp "$(dirname "$2")/download.XXXXXX") || return 0
  if ! cp "$1" "$part" || ! chmod 755 "$part" || ! mv -f "$part" "$2"; then rm -f "$part"; fi
}

released() { # VERSION
  [ -n "$(field 1 "$1")" ] ||
    fail "This commit of the action knows no layergate $1, but: $(entries | awk '{ print $1 }' | listed). Take one of those, pin another commit of the action, or build with \`version: source\`."
  target=$(target)
  file=$(field 4 "$1" "$target" | head -n 1)
  [ -n "$file" ] ||
    fail "There is no layergate $1 for $target, but for: $(field 2 "$1" | listed). Build it with \`version: source\`, or name a program that is there as the input \`binary\`."
  expected=$(field 3 "$1" "$target" | head -n 1 | tr ABCDEF abcdef)
  case $expected in
    *[!0-9a-f]*) fail "The manifest of this commit of the action has no SHA-256 for $file." ;;
  esac
  [ ${#expected} -eq 64 ] || fail "The manifest of this commit of the action has no SHA-256 for $file."

  # Other jobs may write to the tool cache, before and while this one runs. So the program is checked and run from a
  # copy that no other job can reach.
  program=$work/layergate
  case $file in *.exe) program=$program.exe ;; esac
  cached=${RUNNER_TOOL_CACHE:+$(slashes "$RUNNER_TOOL_CACHE")/layergate/$1/$target/${program##*/}}
  if [ -n "$cached" ] && [ -f "$cached" ] && cp "$cached" "$program" 2>/dev/null && [ "$(sha256 "$program")" = "$expected" ]; then
    chmod 755 "$program"
    echo "layergate $1 for $target, from the tool cache, with the SHA-256 $expected"
    found "$program"
  fi
  rm -f "$program"
  from=${ACTION_DOWNLOAD_URL:-$releases}
  from=${from%/}/v$1/$file
  download "$from" "$program"
  actual=$(sha256 "$program")
  if [ "$actual" != "$expected" ]; then
    rm -f "$program"
    fail "What was downloaded from $(shown "$from") has the SHA-256 $actual, and this commit of the action says $expected. It was not run, and is deleted."
  fi
  chmod 755 "$program"
  keep "$program" "$cached" 2>/dev/null
  echo "layergate $1 for $target, downloaded, with the SHA-256 $expected"
  found "$program"
}

command=${ACTION_COMMAND:-check}
case $command in
  check | record | report | install) ;;
  *) fail "The input \`command\` is $command; it is check, record, report or install." ;;
esac
if [ -n "${ACTION_BINARY:-}" ]; then
  program=$(command -v -- "$ACTION_BINARY") || fail "The input \`binary\` is $ACTION_BINARY, and there is no such program."
  case $program in
    /* | ?:*) ;;
    *) program=$PWD/$program ;;
  esac
  found "$program"
fi
temporary=$(slashes "${RUNNER_TEMP:-${TMPDIR:-/tmp}}")
work=$(mktemp -d "$temporary/layergate.XXXXXX") || fail "Nothing can be written to $temporary."
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
