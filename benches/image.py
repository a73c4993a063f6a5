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


def content(of, length, text, noise):
    """Packs about as well as what images hold: four parts of text to one of noise."""
    words = length * 4 // 5
    at = of.randrange(len(text) - words)
    return text[at : at + words] + noise[(start := of.randrange(len(noise) - length)) : start + length - words]


def context(directory, busybox):
    """A build context: eight directories of small files and some of a megabyte, each a layer."""
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
    steps = ["FROM scratch", "COPY busybox /bin/busybox"]
    steps += [f"COPY layer{layer} /srv/layer{layer}" for layer in range(LAYERS)]
    with open(f"{directory}/Dockerfile", "w", encoding="utf-8") as out:
        out.write("\n".join(steps) + "\n")
    print(f"  {total:,} bytes in {files:,} files")


def million(path):
    """A `docker save` archive of one layer of a million empty files."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(1_000_000):
            tar.addfile(tarfile.TarInfo(f"srv/data/{number // 1000:03}/some-file-{number:07}.txt"))
    blob = layer.getvalue()
    digest = hashlib.sha256(blob).hexdigest()
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    ).encode()
    saved = json.dumps([{"Config": "config.json", "RepoTags": ["million:1"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in (("layer.tar", blob), ("config.json", config), ("manifest.json", saved)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    {"context": context, "million": million}[sys.argv[1]](*sys.argv[2:])
