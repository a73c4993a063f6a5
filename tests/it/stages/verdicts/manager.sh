#!/bin/sh
# Stands in for package managers and compilers in small images: `manager NAME ARGUMENT...` stores what NAME would
# store, in the same places and with the same entries in databases, but few bytes of it.
# shellcheck disable=SC2046,SC2034,SC1007 # lists are meant to be words, and what is empty is written so
set -e
name=$1
shift

# put PATH BYTES: a file that nothing reads.
put() {
  mkdir -p "${1%/*}"
  head -c "$2" /dev/zero | tr '\0' x >"$1"
}

# program PATH BYTES: one that comes back here.
program() {
  mkdir -p "${1%/*}"
  printf '#!/bin/sh\nexec sh /usr/lib/manager %s "$@"\n' "${1##*/}" >"$1"
  head -c "$2" /dev/zero | tr '\0' '#' >>"$1"
  chmod 755 "$1"
}

# What packages have: a path and its bytes, by turns.
contents() {
  case $1 in
    gcc) echo /usr/bin/gcc 1000000 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 3000000 ;;
    libc6-dev | musl-dev) echo /usr/include/stdio.h 40000 /usr/lib/x86_64-linux-gnu/libc.a 1500000 ;;
    make) echo /usr/bin/make 200000 ;;
    libpq-dev) echo /usr/include/postgresql/libpq-fe.h 30000 ;;
    openjdk-17-jdk-headless | openjdk17-jdk) echo /usr/lib/jvm/java-17/lib/ct.sym 3000000 /usr/lib/jvm/java-17/bin/javac 20000 ;;
    openjdk-17-jre-headless | openjdk17-jre) echo /usr/bin/java 20000 /usr/lib/jvm/java-17/lib/modules 900000 ;;
    dotnet-sdk-8.0) echo /usr/share/dotnet/sdk/8.0.100/MSBuild.dll 3000000 ;;
    aspnetcore-runtime-8.0) echo /usr/bin/dotnet 70000 /usr/share/dotnet/shared/a.dll 900000 ;;
    libpq5 | libpq) echo /usr/lib/x86_64-linux-gnu/libpq.so.5 300000 ;;
    curl) echo /usr/bin/curl 250000 ;;
    git) echo /usr/bin/git 2000000 ;;
    python3) echo /usr/bin/python3 600000 ;;
    python3-pip) echo /usr/bin/pip 20000 ;;
    build-essential | build-base) echo /usr/share/doc/build-essential/list 2000 ;;
    *) echo "no package $1" >&2 && exit 100 ;;
  esac
}

needs() {
  case $1 in
    gcc) if [ "$name" = apk ]; then echo musl-dev; else echo libc6-dev; fi ;;
    build-essential | build-base) echo gcc make ;;
    openjdk-17-jdk-headless) echo openjdk-17-jre-headless ;;
    openjdk17-jdk) echo openjdk17-jre ;;
    dotnet-sdk-8.0) echo aspnetcore-runtime-8.0 ;;
  esac
}

store() {
  while [ $# -gt 0 ]; do
    case $1 in
      */bin/*) program "$1" "$2" ;;
      *) put "$1" "$2" ;;
    esac
    shift 2
  done
}

paths() {
  while [ $# -gt 0 ]; do
    echo "$1"
    shift 2
  done
}

dpkg=/var/lib/dpkg
installed=/lib/apk/db/installed

add_deb() {
  [ ! -f "$dpkg/info/$1.list" ] || return 0
  store $(contents "$1")
  paths $(contents "$1") >"$dpkg/info/$1.list"
  printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.2\n\n' "$1" >>$dpkg/status
  for need in $(needs "$1"); do
    [ -f "$dpkg/info/$need.list" ] || echo "$need $1" >>/var/lib/apt/auto
    add_deb "$need"
  done
}

remove_deb() {
  [ -f "$dpkg/info/$1.list" ] || return 0
  rm -f $(cat "$dpkg/info/$1.list") "$dpkg/info/$1.list"
  awk -v RS= -v ORS='\n\n' -v name="$1" '$2 != name' $dpkg/status >$dpkg/status-new
  mv $dpkg/status-new $dpkg/status
}

# What was installed for another package that is gone.
remove_orphans() {
  for round in 1 2 3; do
    while read -r one by; do
      [ -f "$dpkg/info/$by.list" ] || remove_deb "$one"
    done </var/lib/apt/auto
  done
}

apt() {
  command= automatic=
  for word; do
    case $word in
      --auto-remove | --autoremove) automatic=1 ;;
      -*) ;;
      update) put /var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_Packages 400000 && return ;;
      clean) rm -rf /var/cache/apt && return ;;
      install | purge | remove | autoremove) command=$word ;;
      *) if [ "$command" = install ]; then add_deb "$word"; else remove_deb "$word"; fi ;;
    esac
  done
  if [ -n "$automatic" ] || [ "$command" = autoremove ]; then remove_orphans; fi
}

has_apk() { grep -qx "P:$1" $installed; }

add_apk() {
  ! has_apk "$1" || return 0
  store $(contents "$1")
  {
    printf 'P:%s\nV:1.0-r0\nA:x86_64\n' "$1"
    for path in $(paths $(contents "$1")); do
      directory=${path%/*}
      printf 'F:%s\nR:%s\n' "${directory#/}" "${path##*/}"
    done
    echo
  } >>$installed
  for need in $(needs "$1"); do add_apk "$need"; done
}

remove_apk() {
  has_apk "$1" || return 0
  for need in $(awk -v RS= -v FS='\n' -v key="P:$1" '$1 == key' $installed | sed -n 's/^D://p') $(needs "$1"); do
    remove_apk "$need"
  done
  case $1 in .*) ;; *) rm -f $(paths $(contents "$1")) ;; esac
  awk -v RS= -v ORS='\n\n' -v FS='\n' -v key="P:$1" '$1 != key' $installed >$installed.new
  mv $installed.new $installed
}

apk() {
  command=$1 group= names=
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --virtual | -t) group=$2 && shift ;;
      -*) ;;
      *) names="$names $1" ;;
    esac
    shift
  done
  [ "$command" != update ] || put /var/cache/apk/APKINDEX.0.tar.gz 400000
  for one in $names; do
    if [ "$command" = add ]; then add_apk "$one"; else remove_apk "$one"; fi
  done
  [ -z "$group" ] || printf 'P:%s\nV:1\nA:noarch\nD:%s\n\n' "$group" "${names# }" >>$installed
}

# express is loaded by what runs, typescript only builds.
npm() {
  case "$*" in
    "run build")
      [ -d node_modules/typescript ]
      put dist/server.js 40000
      ;;
    *" -g "*) put "/usr/local/lib/node_modules/${3%%@*}/lib/tsc.js" 3000000 ;;
    prune*)
      rm -rf node_modules/typescript
      echo '{"packages":{"node_modules/express":{"version":"4.18.2"}}}' >node_modules/.package-lock.json
      ;;
    ci* | install*)
      put node_modules/express/index.js 300000
      put /root/.npm/_cacache/content-v2/sha512/00/ab 200000
      locked='"node_modules/express":{"version":"4.18.2"}'
      case "$*" in
        *--omit=dev* | *--production*) ;;
        *)
          put node_modules/typescript/lib/tsc.js 3000000
          locked=$locked',"node_modules/typescript":{"version":"5.4.0","dev":true}'
          ;;
      esac
      echo "{\"packages\":{$locked}}" >node_modules/.package-lock.json
      ;;
    "cache clean"*) rm -rf /root/.npm ;;
    *) exit 1 ;;
  esac
}

# Into site-packages, or where `--target` says.
pip() {
  target=/usr/local/lib/python3.11/site-packages names=
  [ "$1" = install ]
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --target) target=$2 && shift ;;
      -r) names="$names flask" && shift ;;
      -*) ;;
      *.whl) names="$names flask" ;;
      *) names="$names $1" ;;
    esac
    shift
  done
  for one in $names; do
    put "$target/$one/__init__.py" 400000
    put "$target/$one-2.0.dist-info/METADATA" 500
    printf 'Name: %s\nVersion: 2.0\n' "$one" >"$target/$one-2.0.dist-info/METADATA"
    printf '%s/__init__.py,,\n%s-2.0.dist-info/METADATA,,\n%s-2.0.dist-info/RECORD,,\n' "$one" "$one" "$one" >"$target/$one-2.0.dist-info/RECORD"
  done
}

# What comes of `-o FILE` is a program.
compile() {
  while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then mkdir -p "$(dirname "$2")" && cp /bin/busybox "$2"; fi
    shift
  done
}

case $name in
  apt-get) apt "$@" ;;
  apk) apk "$@" ;;
  npm) npm "$@" ;;
  pip) pip "$@" ;;
  gcc) compile "$@" ;;
  make) compile -o "${1:-server}" ;;
  go)
    compile "$@"
    put /root/.cache/go-build/00/00ab-d 300000
    ;;
  cargo)
    compile -o target/release/server
    put target/release/deps/server-0a1b 2000000
    ;;
  composer) put vendor/autoload.php 3000 ;;
  uv) put .venv/lib/python3.11/site-packages/flask/__init__.py 400000 ;;
  *) ;;
esac
