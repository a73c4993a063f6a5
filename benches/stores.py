"""Times the ways to read an image from an engine against the engine's own export; see benches/run.

stores.py RUNS LAYERGATE DOCKER containerd|classic    the engine is DOCKER_HOST's; `classic` runs where its data is at
/var/lib/docker (tests/at-home).
stores.py RUNS LAYERGATE '' IMAGE                     an image of containers-storage, by its full name"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from timing import measure, once

RUNS, LAYERGATE, DOCKER, STORE = sys.argv[1:]
RUNS = max(5, int(RUNS))
IMAGES = {"containerd": ["bench:1", "bench:plain"], "classic": ["bench:1"]}


def inspect(image, *options):
    return [LAYERGATE, "inspect", image, *options], {}


def row(what, seconds, memory, export=None):
    ratio = f"{seconds / export:6.3f} of it" if export else ""
    print(f"{what:44} {seconds:8.3f} s  {memory / 1024:6.1f} MiB  {ratio}", flush=True)


def known(image, what, lost):
    """With everything in the cache, and with what `lost` removes from it each time."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as copy:
        command, _ = inspect(image, "--cache-dir", cache, "--format", "json")
        snapshot = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        shutil.copytree(cache, f"{copy}/whole")

        def restore():
            shutil.rmtree(cache)
            shutil.copytree(f"{copy}/whole", cache)
            lost(cache, snapshot)

        (own,) = measure(RUNS, inspect(image, "--cache-dir", cache), before=restore)
        row(what, *own)


def forget_image(cache, _):
    shutil.rmtree(f"{cache}/v1/images", ignore_errors=True)


def forget_last(cache, snapshot):
    """Forgets the image, and its last layer, which has one small file."""
    forget_image(cache, snapshot)
    diff_id = snapshot["layers"][-1]["diff_id"]
    hexes = [("layers", diff_id.partition(":")[2])]
    # The containerd store has its own kind of ID.
    asked = [DOCKER, "image", "inspect", "--format", "{{.Id}}", snapshot["image"]["reference"]]
    engine = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    for image in {snapshot["image"]["id"], engine}:
        hexes.append(("seen", hashlib.sha256(f"{image} {diff_id}".encode()).hexdigest()))
    names = [f"{kind}/{hex[:2]}/{hex}.json.zst" for kind, hex in hexes]
    there = [name for name in names if os.path.exists(f"{cache}/v1/{name}")]
    for name in there:
        os.remove(f"{cache}/v1/{name}")
    if not there:
        sys.exit("the last layer was not in the cache")


def main():
    for image in IMAGES[STORE]:
        own, export = measure(RUNS, inspect(image, "--no-cache"), ([DOCKER, "save", image], {}))
        print(f"{STORE} store, {image}")
        row("  the export alone", *export)
        row("  nothing known", *own, export[0])
        if STORE == "containerd":
            (verified,) = measure(RUNS, inspect(image, "--no-cache", "--verify"))
            row("  nothing known, every byte hashed", *verified, export[0])
        else:
            off, export = measure(RUNS, inspect(image, "--no-cache", "--engine-store", "off"), ([DOCKER, "save", image], {}))
            row("  nothing known, by the export", *off, export[0])
        known(image, "  all layers known, the image is new", forget_image)
        known(image, "  one layer of 400 kB unknown", forget_last)
        known(image, "  everything known", lambda *_: None)


if STORE.startswith("containers-storage:"):
    (own,) = measure(RUNS, inspect(STORE, "--no-cache"))
    print(STORE)
    row("  nothing known", *own)
elif os.environ.get("ENGINE_STORE") == "sudo":
    (taken,) = measure(RUNS, inspect("bench:1", "--no-cache", "--engine-store", "sudo"))
    row("  nothing known, by sudo", *taken)
else:
    main()
