#!/bin/sh
# Writes the manifest of a release, which `install.sh` trusts: the SHA-256 of each program. The lines of earlier
# releases are kept, so that the input `version` can name those.
#
# manifest.sh VERSION DIRECTORY [MANIFEST-BEFORE] >manifest
# DIRECTORY has the programs of the release, each called layergate-TARGET or layergate-TARGET.exe.
set -eu

version=$1
directory=$2
before=${3:-}

cat <<'END'
# The programs of the releases, newest first: version, target, SHA-256, file. The action runs none that has
# another SHA-256.
END
found=
for program in "$directory"/layergate-*; do
  [ -f "$program" ] || continue
  file=${program##*/}
  target=${file#layergate-}
  sum=$(sha256sum <"$program" 2>/dev/null || shasum -a 256 <"$program")
  echo "$version ${target%.exe} ${sum%% *} $file"
  found=yes
done
[ -n "$found" ] || {
  echo "there is no program layergate-TARGET in $directory" >&2
  exit 2
}
if [ -n "$before" ] && [ -f "$before" ]; then
  # Listing a version twice would be ambiguous.
  grep -v -e '^#' "$before" | awk -v version="$version" '$1 != version'
fi
