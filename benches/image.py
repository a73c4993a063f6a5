"""Makes the images that benches/run measures; the same ones every time."""

import hashlib
import io
import json
import os
import random
import shutil
import sys
import tarfile

LAYERS, DIRECTORIES, FILES = 8, 45, 92
SMALL = 400_000


def content(of, length, text, noise):
    """Data that compresses about as well as typical image content: four parts of text to one of noise."""
    words = length * 4 // 5
    at = of.randrange(len(text) - words)
    return text[at : at + words] + noise[(start := of.randrange(len(noise) - length)) : start + length - words]


def context(directory, busybox):
    """A build context: eight directories of small files and some of a megabyte, each a layer; and one small layer."""
    of = random.Random(7)
    words = [bytes(of.choices(b"abcdefghijklmnopqrstuvwxyz", k=of.randint(3, 9))) for _ in range(4000)]
    text, noise = b" ".join(of.choices(words, k=1_500_000)), of.randbytes(8 << 20)
    total = files = 0
    for layer in range(LAYERS):
        for number in range(DIRECTORIES):
            inside = f"{directory}/layer{layer}/package{number}/lib/module"
            os.makedirs(inside)
            for file in range(FILES):
                length = min(int(of.lognormvariate(9.0, 1.5)), 4_000_000) if file > 1 else 900_000
                with open(f"{inside}/file{file}.py", "wb") as out:
                    out.write(content(of, length, text, noise))
                total, files = total + length, files + 1
    shutil.copy(busybox, f"{directory}/busybox")
    with open(f"{directory}/small", "wb") as out:
        out.write(content(of, SMALL, text, noise))
    steps = ["FROM scratch", "COPY busybox /bin/busybox"]
    steps += [f"COPY layer{layer} /srv/layer{layer}" for layer in range(LAYERS)]
    steps += ["COPY small /srv/small"]
    with open(f"{directory}/Dockerfile", "w", encoding="utf-8") as out:
        out.write("\n".join(steps) + "\n")
    print(f"  {total:,} bytes in {files:,} files")


def million(path):
    """A `docker save` archive of one layer of a million empty files."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(1_000_000):
            tar.addfile(tarfile.TarInfo(f"srv/data/{number // 1000:03}/some-file-{number:07}.txt"))
    save(path, "million:1", [("COPY data /srv/data", layer.getvalue())])


def save(path, tag, layers):
    """A `docker save` archive of layers, each with the instruction that made it."""
    files = [(f"{number}.tar", blob) for number, (_, blob) in enumerate(layers)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(blob).hexdigest()}" for _, blob in files]},
        "history": [{"created_by": step} for step, _ in layers],
    }
    saved = [{"Config": "config.json", "RepoTags": [tag], "Layers": [name for name, _ in files]}]
    files += [("config.json", json.dumps(config).encode()), ("manifest.json", json.dumps(saved).encode())]
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            add(tar, name, data)


def add(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def pair(base, head):
    """Two images of 100,000 files in ten layers, all rebuilt: 2,500 Node packages, of which 200 have a later
    version, 50 were removed and 50 added; about 8,000 files differ."""
    for path, later in ((base, False), (head, True)):
        layers = []
        for number in range(10):
            of = random.Random(number)
            blob = io.BytesIO()
            with tarfile.open(fileobj=blob, mode="w", format=tarfile.GNU_FORMAT) as tar:
                add(tar, f"srv/app/stamp{number}", b"later" if later else b"base")
                for package in range(250):
                    upgraded, new = package % 12 == 5 and package < 240, package % 50 == 0
                    name = f"some-package-{number}{package:03}" + ("-next" if new and later else "")
                    version = "1.10.0" if upgraded and later else "1.9.2"
                    inside = f"srv/app/node_modules/{name}"
                    add(tar, f"{inside}/package.json", json.dumps({"name": name, "version": version}).encode())
                    for file in range(39):
                        length = of.randint(1, 400) + (100 if upgraded and later and file < 20 else 0)
                        add(tar, f"{inside}/lib/internal/some-module-{file:02}.js", bytes(length))
            layers.append((f"RUN npm install group-{number}", blob.getvalue()))
        save(path, "pair:1", layers)


if __name__ == "__main__":
    {"context": context, "million": million, "pair": pair}[sys.argv[1]](*sys.argv[2:])
