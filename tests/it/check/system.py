"""Makes what tests/it/check/causes.rs installs, and what it installs it with, out of this machine's own parts: nothing
is fetched.

    system.py root DIRECTORY BUSYBOX             a root file system with dpkg, Python and pip
    system.py wheels DIRECTORY NAME=VERSION=SIZE...
    system.py debs DIRECTORY NAME=VERSION=SIZE...
"""

import base64
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

# A shell of its own: busybox has a small dpkg, which its shell takes before the real one.
PROGRAMS = ["sh", "dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "tar", "ldconfig", "start-stop-daemon"]
# Their libraries are large (X11), or nothing asks for them.
LEFT_OUT = ["test", "tests", "idlelib", "turtledemo", "tkinter", "ensurepip", "lib2to3", "site-packages"]
LEFT_OUT += ["dist-packages", "config-*", "__pycache__", "EXTERNALLY-MANAGED", "_tkinter*", "*.a"]


def inside(root, path):
    return f"{root}/{path.lstrip('/')}"


def copy(root, path):
    """A file, or what a link says, where it is on this machine."""
    target = inside(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        shutil.copy2(path, target)


def copy_tree(root, path):
    shutil.copytree(path, inside(root, path), symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))


def copy_libraries(root, programs):
    listed = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    words = {word for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    for path in sorted(word for word in words if not word.endswith(":")):
        copy(root, path)


def python(root):
    """The interpreter that runs this, and its pip."""
    import pip

    interpreter = os.path.realpath(sys.executable)
    library = sysconfig.get_path("stdlib")
    copy(root, interpreter)
    copy_tree(root, library)
    os.makedirs(inside(root, "/usr/local/bin"), exist_ok=True)
    for name in ("python3", os.path.basename(interpreter)):
        if not os.path.exists(inside(root, f"/usr/bin/{name}")):
            os.symlink(interpreter, inside(root, f"/usr/local/bin/{name}"))
    home = os.path.dirname(pip.__file__)
    copy_tree(root, home)
    for metadata in glob.glob(f"{os.path.dirname(home)}/pip-{pip.__version__}*-info"):
        copy_tree(root, metadata)
    with open(inside(root, "/usr/local/bin/pip"), "w", encoding="utf-8") as script:
        script.write('#!/bin/sh\nexec python3 -m pip "$@"\n')
        os.fchmod(script.fileno(), 0o755)
    return [interpreter, *glob.glob(f"{library}/lib-dynload/*.so")]


def dpkg(root):
    """A database of two packages that this machine has as well."""
    for directory in ("info", "updates", "triggers", "alternatives", "parts"):
        os.makedirs(inside(root, f"/var/lib/dpkg/{directory}"))
    known = subprocess.run(["dpkg-query", "--status", "dpkg", "tar"], stdout=subprocess.PIPE, check=True).stdout
    # What they depend on is there, and dpkg does not know it.
    kept = [line for line in known.splitlines(keepends=True) if not line.startswith((b"Depends:", b"Pre-Depends:"))]
    with open(inside(root, "/var/lib/dpkg/status"), "wb") as status:
        status.writelines(kept)
    open(inside(root, "/var/lib/dpkg/available"), "wb").close()
    with open(inside(root, "/var/lib/dpkg/info/format"), "w", encoding="utf-8") as version:
        version.write("1\n")
    for path in glob.glob("/var/lib/dpkg/info/dpkg.*") + glob.glob("/var/lib/dpkg/info/tar.*"):
        copy(root, path)
    for path in ("/var/lib/dpkg/info/dpkg.list", "/var/lib/dpkg/info/tar.list"):
        with open(path, encoding="utf-8") as listed:
            for directory in filter(os.path.isdir, listed.read().split("\n")):
                os.makedirs(inside(root, directory), exist_ok=True)


def root(directory, busybox):
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{directory}/usr/{name}")
        os.symlink(f"usr/{name}", f"{directory}/{name}")
    for name in ("etc", "root", "tmp", "var/log", "var/tmp"):
        os.makedirs(f"{directory}/{name}")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    programs = [shutil.which(program, path=path) for program in PROGRAMS]
    for found, program in zip(programs, PROGRAMS):
        shutil.copy2(found, f"{directory}/usr/bin/{program}")
    copy_libraries(directory, programs + python(directory))
    dpkg(directory)
    shutil.copy2(busybox, f"{directory}/usr/bin/busybox")
    for applet in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split():
        if not os.path.exists(f"{directory}/usr/bin/{applet}"):
            os.symlink("busybox", f"{directory}/usr/bin/{applet}")
    with open(f"{directory}/etc/passwd", "w", encoding="utf-8") as users:
        users.write("root:x:0:0:root:/root:/bin/sh\n")
    with open(f"{directory}/etc/group", "w", encoding="utf-8") as groups:
        groups.write("root:x:0:\n")
    if os.path.exists("/etc/ld.so.conf"):
        copy(directory, "/etc/ld.so.conf")
    for part in glob.glob("/etc/ld.so.conf.d/*.conf"):
        copy(directory, part)
    subprocess.run([programs[PROGRAMS.index("ldconfig")], "-r", directory], check=True)


def wheel(directory, name, version, size):
    """Code to be compiled, data, and a command that pip writes on its own."""
    module = name.replace("-", "_")
    metadata = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"VERSION = {version!r}\n\n\ndef main():\n    print(VERSION)\n",
        f"{module}/more.py": "".join(f"def f{number}():\n    return {number}\n" for number in range(40)),
        f"{module}/data.bin": "d" * size,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{metadata}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
    }
    record = f"{metadata}/RECORD"
    with zipfile.ZipFile(f"{directory}/{module}-{version}-py3-none-any.whl", "w") as archive:
        lines = []
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text)}\n")
        archive.writestr(record, "".join([*lines, f"{record},,\n"]))


def deb(directory, name, version, size):
    """A program with a second name, a link, configuration, and a script that dpkg keeps."""
    tree = f"{directory}/{name}.tree"
    files = {
        f"usr/lib/{name}/data": "d" * size,
        f"usr/lib/{name}/tool": "#!/bin/sh\n" + "# tool\n" * 100,
        f"usr/share/doc/{name}/copyright": f"{name} is free\n",
        f"etc/{name}.conf": f"version = {version}\n",
        "DEBIAN/control": f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        f"Maintainer: tests <tests@example.com>\nDescription: {name}\n",
        "DEBIAN/conffiles": f"/etc/{name}.conf\n",
        "DEBIAN/postinst": "#!/bin/sh\nexit 0\n",
    }
    for path, text in files.items():
        os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
        with open(f"{tree}/{path}", "w", encoding="utf-8") as out:
            out.write(text)
    for program in ("DEBIAN/postinst", f"usr/lib/{name}/tool"):
        os.chmod(f"{tree}/{program}", 0o755)
    os.makedirs(f"{tree}/usr/bin")
    os.link(f"{tree}/usr/lib/{name}/tool", f"{tree}/usr/lib/{name}/same-tool")
    os.symlink(f"../lib/{name}/tool", f"{tree}/usr/bin/{name}")
    file = f"{directory}/{name}_{version}.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", tree, file], check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(tree)


if __name__ == "__main__":
    command, directory, *rest = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    if command == "root":
        root(directory, *rest)
    make = {"wheels": wheel, "debs": deb}.get(command)
    for package in rest if make else []:
        name, version, size = package.split("=")
        make(directory, name, version, int(size))
