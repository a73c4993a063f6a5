"""Makes the layers of the base images in tests/it/support/apps.rs, and the packages that are installed in them: file
systems and package repositories from this machine's own packages, and indexes of downloaded packages.

    apps.py root NAME TAR ADDRESS     the layer of a base image; builds on it find packages at ADDRESS
    apps.py debs DIRECTORY            a repository for apt
    apps.py wheels DIRECTORY          an index for pip of the files that are in the directory
    apps.py npm DIRECTORY ADDRESS     an index for npm of the files that are in the directory
    apps.py serve DIRECTORY PORT      all of that over HTTP on loopback
"""

import base64
import functools
import glob
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

# In every image, beside the packages that Debian marks essential: the package manager.
MANAGER = ["apt", "dpkg"]
COMPILERS = ["gcc", "make", "libc6-dev"]
# Packages that the tests' Dockerfiles install.
INSTALLABLE = [*COMPILERS, "libyaml-dev", "busybox-static", "passwd"]

# Left out to keep images small; their dpkg is configured to skip these files too.
LEFT_OUT = re.compile(r"/usr/share/(doc/.*/(?!copyright$)[^/]*|man/.*|info/.*|locale/.*|lintian/.*|groff/.*)")
DPKG_CONFIG = """force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/groff/*
"""
APT_CONFIG = """DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
"""
SOURCES = "Types: deb\nURIs: {address}/debs\nSuites: ./\nTrusted: yes\n"
# pip caches downloads over plain HTTP only from trusted hosts.
PIP_CONFIG = """[global]
index-url = {address}/pypi/
trusted-host = {host}
disable-pip-version-check = true
root-user-action = ignore
"""
NPM_CONFIG = "registry = {address}/npm/\nupdate-notifier = false\n"
# The image's command is an option of node or a script, or else a program.
NODE_ENTRYPOINT = """#!/bin/sh
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
  set -- node "$@"
fi
exec "$@"
"""
# A runtime image has the first of them, a build image all.
JAVA_MODULES = ["java.base", "java.logging", "jdk.httpserver"]
JAVA_COMPILER = ["jdk.compiler", "jdk.jartool"]

DATABASE = "/var/lib/dpkg"
SCRIPTS = ["preinst", "postinst", "prerm", "postrm", "config", "templates"]
CONTROL = [*SCRIPTS, "conffiles", "md5sums", "shlibs", "symbols", "triggers"]
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def say(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True).stdout


class Package:
    """An installed package, as dpkg describes it."""

    def __init__(self, stanza):
        self.stanza = stanza
        self.fields = dict(re.findall(r"^(\S+): *(.*)$", stanza, re.MULTILINE))
        self.name = self.fields["Package"]

    def info(self, kind):
        for stem in (self.name, f"{self.name}:{self.fields['Architecture']}"):
            path = f"{DATABASE}/info/{stem}.{kind}"
            if os.path.exists(path):
                return path
        return None

    def paths(self):
        with open(self.info("list"), encoding="utf-8") as listed:
            return [path for path in listed.read().splitlines() if path != "/." and not LEFT_OUT.match(path)]

    def needed(self):
        """Dependencies, each a list of alternatives of which one is needed."""
        for field in ("Pre-Depends", "Depends"):
            for need in filter(None, self.fields.get(field, "").split(", ")):
                yield [re.split(r"[ :(]", name)[0] for name in need.split(" | ")]


class System:
    """The packages of this machine."""

    def __init__(self):
        native = say("dpkg", "--print-architecture").strip()
        with open(f"{DATABASE}/status", encoding="utf-8") as status:
            all_of_them = [Package(stanza) for stanza in filter(None, status.read().split("\n\n"))]
        self.packages, self.provided = {}, {}
        for package in all_of_them:
            if package.fields["Status"].endswith(" installed") and package.fields["Architecture"] in (native, "all"):
                self.packages[package.name] = package
                for name in re.findall(r"([^ ,()]+)(?: \([^)]*\))?", package.fields.get("Provides", "")):
                    self.provided.setdefault(name, package.name)
        self.essential = [name for name, package in self.packages.items() if "Essential" in package.fields]

    def with_needed(self, names):
        """These packages and all their dependencies."""
        found, wanted = set(), list(names)
        while wanted:
            name = wanted.pop()
            name = name if name in self.packages else self.provided.get(name, name)
            if name in found:
                continue
            if name not in self.packages:
                sys.exit(f"this machine has no package {name}")
            found.add(name)
            for names_of_one in self.packages[name].needed():
                known = [one for one in names_of_one if one in self.packages or one in self.provided]
                wanted.extend(known[:1] or names_of_one[:1])
        return found

    def base(self):
        return self.with_needed([*self.essential, *MANAGER])

    def that_own(self, programs):
        """The packages of the libraries that these programs are linked with."""
        libraries = set(re.findall(r"=> (/\S+)", say("ldd", *programs)))
        # A library is at its package's path, or at the target of the link /lib.
        places = libraries | {place[4:] if place.startswith("/usr/lib") else f"/usr{place}" for place in libraries}
        places |= {os.path.realpath(place) for place in libraries}
        owners = set(re.findall(r"^([^:\n]+):.* /", say("dpkg", "--search", *sorted(places)), re.MULTILINE))
        return owners & set(self.packages)


class Layer:
    """A tar in which directories precede their content, and every path occurs once."""

    def __init__(self, out):
        self.tar = tarfile.TarFile(fileobj=out, mode="w", format=tarfile.GNU_FORMAT)
        self.seen = set()

    def entry(self, path, kind, mode=0o755, content=b"", target=""):
        path = path.lstrip("/")
        if path in self.seen:
            return
        self.directory(os.path.dirname(path))
        self.seen.add(path)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
        self.tar.addfile(entry, io.BytesIO(content))

    def directory(self, path, mode=0o755):
        if path.strip("/"):
            self.entry(path, tarfile.DIRTYPE, mode)

    def text(self, path, text, mode=0o644):
        self.entry(path, tarfile.REGTYPE, mode, text.encode())

    def link(self, path, target):
        self.entry(path, tarfile.SYMTYPE, 0o777, target=target)

    def copy(self, source, path=None, merged=True):
        """Adds a path of this machine, without a directory's content."""
        path = (path or source).lstrip("/")
        first, _, rest = path.partition("/")
        if merged and first in MERGED:
            path = f"usr/{path}"
        if not os.path.lexists(source) or path.rstrip("/") in self.seen:
            return
        if first in MERGED and not rest:
            return self.directory(path)
        self.directory(os.path.dirname(path))
        self.seen.add(path)
        entry = self.tar.gettarinfo(source, path)
        if entry is None:
            return
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        if entry.isreg():
            with open(source, "rb") as content:
                self.tar.addfile(entry, content)
        else:
            self.tar.addfile(entry)

    def tree(self, source, path, left_out):
        """Adds a directory with its content, except for some names."""
        ignore = shutil.ignore_patterns(*left_out)
        for directory, directories, files in os.walk(source):
            ignored = ignore(directory, directories + files)
            directories[:] = sorted(name for name in directories if name not in ignored)
            place = path + directory[len(source) :]
            self.copy(directory, place, merged=False)
            links = [name for name in directories if os.path.islink(f"{directory}/{name}")]
            for name in sorted(links + files):
                if name not in ignored:
                    self.copy(f"{directory}/{name}", f"{place}/{name}", merged=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tar.close()


def add_packages(layer, system, new, below, chosen):
    """Adds packages as dpkg would install them, to a layer that already has some."""
    for name in sorted(new):
        package = system.packages[name]
        for path in package.paths():
            layer.copy(path)
        for kind in filter(package.info, ("list", *CONTROL)):
            layer.copy(package.info(kind))
    for path in sorted(glob.glob("/etc/alternatives/*")):
        if os.path.islink(path) and os.readlink(path).lstrip("/") in layer.seen:
            layer.copy(path)
    for directory in ("/usr/bin", "/usr/sbin"):
        for entry in os.scandir(directory):
            if entry.is_symlink() and os.readlink(entry.path).lstrip("/") in layer.seen:
                layer.copy(entry.path)
    stanzas = [system.packages[name].stanza for name in sorted(new | below)]
    layer.text(f"{DATABASE}/status", "".join(f"{stanza.strip()}\n\n" for stanza in stanzas))
    automatic = sorted((new | below) - set(chosen) - system.base())
    states = "".join(
        f"Package: {name}\nArchitecture: {system.packages[name].fields['Architecture']}\nAuto-Installed: 1\n\n"
        for name in automatic
    )
    if states:
        layer.text("/var/lib/apt/extended_states", states)


def add_base(layer, system, address):
    """A small Debian: its users are the ones that every Debian has."""
    for name in ("usr", *(f"usr/{name}" for name in MERGED[:5])):
        layer.directory(name)
    for name in MERGED[:5]:
        layer.link(name, f"usr/{name}")
    for name, mode in (("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("root", 0o700)):
        layer.directory(name, mode)
    for name in ("tmp", "var/tmp"):
        layer.directory(name, 0o1777)
    for name in ("parts", "triggers", "updates", "alternatives", "info"):
        layer.directory(f"{DATABASE}/{name}")
    layer.text(f"{DATABASE}/info/format", "1\n")
    for name in ("available", "diversions", "statoverride"):
        layer.text(f"{DATABASE}/{name}", "")
    layer.text("/etc/dpkg/dpkg.cfg.d/docker", DPKG_CONFIG)
    layer.text("/etc/apt/apt.conf.d/docker", APT_CONFIG)
    layer.text("/etc/apt/sources.list.d/debian.sources", SOURCES.format(address=address))
    for name in ("passwd", "group"):
        with open(f"/usr/share/base-passwd/{name}.master", encoding="utf-8") as master:
            own = "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n" if name == "passwd" else ""
            layer.text(f"/etc/{name}", master.read() + own)
    layer.copy("/usr/share/base-files/nsswitch.conf", "/etc/nsswitch.conf")
    add_packages(layer, system, system.base(), set(), [])
    layer.link("usr/bin/sh", "dash")


def below_python(system):
    """The packages of an image of Python: those of the interpreter that runs this, or what it is linked with."""
    if sys.base_prefix == "/usr":
        own = system.with_needed(["python3", "python3-pip"])
    else:
        programs = glob.glob(f"{sys.base_prefix}/lib/python{sysconfig.get_python_version()}/lib-dynload/*.so")
        programs = [os.path.realpath(sys.executable), *(name for name in programs if "tkinter" not in name)]
        own = system.with_needed(system.that_own(programs))
    return own | system.base()


def add_python(layer, system, address):
    """The interpreter that runs this, with its pip, at the path where Python images have it."""
    import pip

    prefix, version = sys.base_prefix, sysconfig.get_python_version()
    library = f"lib/python{version}"
    layer.text("/etc/pip.conf", PIP_CONFIG.format(address=address, host=address.split("//")[1]))
    layer.seen.add(f"usr/{library}/EXTERNALLY-MANAGED")
    add_packages(layer, system, below_python(system) - system.base(), system.base(), [])
    if prefix == "/usr":
        layer.link("/usr/local/bin/python", "/usr/bin/python3")
        for headers in (sysconfig.get_path("include"), *glob.glob(f"/usr/include/*/python{version}")):
            layer.tree(headers, headers, [])
        return
    interpreter = os.path.realpath(sys.executable)
    layer.copy(interpreter, f"/usr/local/bin/python{version}")
    for name in ("python3", "python"):
        layer.link(f"/usr/local/bin/{name}", f"python{version}")
    for path in glob.glob(f"{prefix}/lib/libpython*.so*"):
        layer.copy(path, f"/usr/local/lib/{os.path.basename(path)}")
    for path in glob.glob(f"{prefix}/{library}/_sysconfigdata*.py"):
        with open(path, encoding="utf-8") as data:
            layer.text(f"/usr/local/{library}/{os.path.basename(path)}", data.read().replace(prefix, "/usr/local"))
    left_out = ["test", "tests", "idlelib", "tkinter", "turtledemo", "_tkinter*", "lib2to3", "ensurepip"]
    left_out += ["site-packages", "config-*", "__pycache__", "*.a"]
    layer.tree(f"{prefix}/{library}", f"/usr/local/{library}", left_out)
    layer.tree(f"{prefix}/include", "/usr/local/include", [])
    home = os.path.dirname(pip.__file__)
    for part in (home, *glob.glob(f"{os.path.dirname(home)}/pip-{pip.__version__}*-info")):
        layer.tree(part, f"/usr/local/{library}/site-packages/{os.path.basename(part)}", ["__pycache__"])
    for name in ("pip", "pip3"):
        script = (
            f"#!/usr/local/bin/python{version}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
        )
        layer.text(f"/usr/local/bin/{name}", script, 0o755)


def add_node(layer, system, address, below):
    """This machine's Node.js, at the path where Node.js images have it."""
    own = system.with_needed(system.that_own([os.path.realpath(shutil.which("node"))]))
    if "node_modules/npm/" not in os.path.realpath(shutil.which("npm")):
        own |= system.with_needed(["npm"])
    add_packages(layer, system, own - below, below, COMPILERS)
    layer.text("/usr/local/bin/docker-entrypoint.sh", NODE_ENTRYPOINT, 0o755)
    for path in ("/usr/local/etc/npmrc", "/etc/npmrc"):
        layer.text(path, NPM_CONFIG.format(address=address))
    if "usr/bin/node" not in layer.seen:
        layer.copy(os.path.realpath(shutil.which("node")), "/usr/local/bin/node")
    npm, modules = os.path.realpath(shutil.which("npm")), "/usr/local/lib/node_modules"
    if "node_modules/npm/" in npm:
        layer.tree(
            npm[: npm.index("node_modules/npm/")] + "node_modules/npm", f"{modules}/npm", ["npmrc", "man", "docs"]
        )
        for name in ("npm", "npx"):
            layer.link(f"/usr/local/bin/{name}", f"../lib/node_modules/npm/bin/{name}-cli.js")


def add_java(layer, system, modules):
    """A small runtime made with this machine's JDK, where Java images have it; build images get the modules too."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("javac"))))
    with tempfile.TemporaryDirectory() as directory:
        made = f"{directory}/java"
        link = [f"{home}/bin/jlink", "--strip-debug", "--no-man-pages", "--add-modules", ",".join(modules)]
        subprocess.run([*link, "--output", made], check=True)
        libraries = glob.glob(f"{made}/lib/**/*.so", recursive=True)
        own = system.with_needed(system.that_own([f"{made}/bin/java", *libraries]))
        add_packages(layer, system, own - system.base(), system.base(), [])
        layer.tree(made, "/opt/java/openjdk", [])
    if modules != JAVA_MODULES:
        layer.tree(f"{home}/jmods", "/opt/java/openjdk/jmods", [])


def add_compilers(layer, system, below):
    new = system.with_needed(COMPILERS)
    add_packages(layer, system, new - below, below, COMPILERS)


def add_rust(layer):
    """This machine's toolchain, at the path where Rust images have it, with this machine's own target only."""
    home, own = say("rustc", "--print", "sysroot").strip(), "/usr/local/rustup/toolchains/stable"
    for name in ("cargo", "rustc"):
        layer.copy(f"{home}/bin/{name}", f"{own}/bin/{name}", merged=False)
        layer.link(f"/usr/local/cargo/bin/{name}", f"{own}/bin/{name}")
    for library in glob.glob(f"{home}/lib/*.so*"):
        layer.copy(library, f"{own}/lib/{os.path.basename(library)}", merged=False)
    host = re.search(r"^host: (.*)$", say("rustc", "-vV"), re.MULTILINE).group(1)
    layer.tree(f"{home}/lib/rustlib/{host}", f"{own}/lib/rustlib/{host}", [])


def root(name, path, address):
    system = System()
    with open(path, "wb") as out, Layer(out) as layer:
        if name == "debian":
            add_base(layer, system, address)
        elif name == "python":
            add_python(layer, system, address)
        elif name == "node":
            add_node(layer, system, address, system.base())
        elif name == "node-on-compilers":
            add_node(layer, system, address, system.base() | system.with_needed(COMPILERS))
        elif name == "jre":
            add_java(layer, system, JAVA_MODULES)
        elif name == "jdk":
            add_java(layer, system, JAVA_MODULES + JAVA_COMPILER)
        elif name == "rust":
            add_rust(layer)
        elif name == "compilers":
            add_compilers(layer, system, system.base())
        elif name == "compilers-on-python":
            add_compilers(layer, system, below_python(system))


def deb(system, name, directory):
    """A package made from its installed files, and its entry in the repository."""
    package = system.packages[name]
    dropped = r"^(Status|Config-Version|Conffiles|Installed-Size):.*\n(?: .*\n)*"
    stanza = re.sub(dropped, "", package.stanza.strip() + "\n", flags=re.MULTILINE)
    control, data = io.BytesIO(), io.BytesIO()
    with Layer(data) as layer:
        for path in package.paths():
            layer.copy(path, merged=False)
    stanza += f"Installed-Size: {len(data.getvalue()) // 1024}\n"
    with Layer(control) as layer:
        layer.text("control", stanza)
        for kind in filter(package.info, CONTROL):
            layer.copy(package.info(kind), kind)
    file = f"{name}.deb"
    content = bytearray(b"!<arch>\n")
    parts = {"debian-binary": b"2.0\n", "control.tar": control.getvalue(), "data.tar": data.getvalue()}
    for part, text in parts.items():
        content += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(text):<10}`\n".encode() + text
    with open(f"{directory}/{file}", "wb") as out:
        out.write(content)
    return f"{stanza}Filename: {file}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"


def debs(directory):
    system = System()
    names = sorted(system.with_needed(INSTALLABLE) - system.base())
    with open(f"{directory}/Packages", "w", encoding="utf-8") as index:
        index.writelines(deb(system, name, directory) for name in names)


def wheels(directory):
    """pip requests a page for each name, and pipenv uses the digests there."""
    pages = {}
    for file in sorted(os.listdir(directory)):
        if not file.endswith((".whl", ".tar.gz")):
            continue
        with open(f"{directory}/{file}", "rb") as content:
            digest = hashlib.sha256(content.read()).hexdigest()
        name = re.sub(r"[-_.]+", "-", file.split("-")[0]).lower()
        pages.setdefault(name, []).append(f'<a href="../{file}#sha256={digest}">{file}</a><br>\n')
    for name, links in pages.items():
        os.makedirs(f"{directory}/{name}", exist_ok=True)
        with open(f"{directory}/{name}/index.html", "w", encoding="utf-8") as page:
            page.write("<!DOCTYPE html><html><body>\n" + "".join(links) + "</body></html>\n")


def npm(directory, address):
    """npm requests a document for each name, with all versions in it."""
    for file in sorted(glob.glob(f"{directory}/*.tgz")):
        with tarfile.open(file) as archive:
            member = next(
                name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/package.json")
            )
            manifest = json.load(archive.extractfile(member))
        with open(file, "rb") as content:
            digest = base64.b64encode(hashlib.sha512(content.read()).digest()).decode()
        name, version = manifest["name"], manifest["version"]
        manifest["dist"] = {"tarball": f"{address}/npm/{os.path.basename(file)}", "integrity": f"sha512-{digest}"}
        os.makedirs(os.path.dirname(f"{directory}/{name}"), exist_ok=True)
        with open(f"{directory}/{name}", "w", encoding="utf-8") as document:
            json.dump({"name": name, "dist-tags": {"latest": version}, "versions": {version: manifest}}, document)


class Packages(http.server.SimpleHTTPRequestHandler):
    """Serves files that package managers may cache, like those of real indexes."""

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=600, public")
        super().end_headers()


def serve(directory, port):
    handler = functools.partial(Packages, directory=directory)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler).serve_forever()


if __name__ == "__main__":
    {"root": root, "debs": debs, "wheels": wheels, "npm": npm, "serve": serve}[sys.argv[1]](*sys.argv[2:])
