"""Measures one image with layergate and its peers, and times them; see benches/peers."""

import json
import os
import subprocess
import sys
import tarfile

import image
from timing import measure

RUNS, LAYERGATE, TOOLS, DOCKER, WORK, REGISTRY, BUSYBOX = sys.argv[1:]
RUNS = max(5, int(RUNS))
NAME = "peers:1"
DIVE, DISL = [f"{TOOLS}/bin/dive"], ["python3", "-m", "docker_image_size_limit"]
PEERS = {"CI": "true", "PYTHONPATH": TOOLS}


def bytes_below(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names)


def build():
    """Builds the image, and returns the sizes known from how it was made: bytes of all layers, and reachable ones."""
    context = f"{WORK}/context"
    image.LAYERS = 2
    image.context(context, BUSYBOX)
    stored = bytes_below(context) - os.path.getsize(f"{context}/Dockerfile")
    again, removed = (bytes_below(f"{context}/{name}") for name in ("layer0/package0", "layer1/package0"))
    with open(f"{context}/Dockerfile", "a", encoding="utf-8") as out:
        out.write('RUN ["/bin/busybox", "chmod", "-R", "a+w", "/srv/layer0/package0"]\n')
        out.write('RUN ["/bin/busybox", "rm", "-r", "/srv/layer1/package0"]\n')
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    command = [DOCKER, "build", "--quiet", "--network", "host", "--tag", NAME, context]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return stored + again, stored - removed


def exported():
    """The bytes of the regular files that a container of the image would see, by the engine's own export."""
    container = said([DOCKER, "create", NAME, "/bin/busybox"]).strip()
    subprocess.run([DOCKER, "export", "--output", f"{WORK}/export.tar", container], check=True)
    said([DOCKER, "rm", container])
    with tarfile.open(f"{WORK}/export.tar") as tar:
        return sum(member.size for member in tar if member.isreg())


def said(command, environment=None):
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **(environment or {})})
    return run.stdout


def main():
    uncompressed, flattened = build()
    if exported() != flattened:
        sys.exit(f"the engine exports {exported()} bytes, and {flattened} were put in")
    said([DOCKER, "save", "--output", f"{WORK}/save.tar", NAME])
    remote = f"docker://{REGISTRY}/{NAME}"
    said(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"docker-archive:{WORK}/save.tar", remote])

    totals = json.loads(said([LAYERGATE, "inspect", NAME, "--no-cache", "--format", "json"]))["totals"]
    of_registry = json.loads(said([LAYERGATE, "inspect", remote, "--no-cache", "--format", "json"]))["totals"]
    said([*DIVE, NAME, "--json", f"{WORK}/dive.json"], PEERS)
    with open(f"{WORK}/dive.json", encoding="utf-8") as file:
        dive = json.load(file)["image"]
    manifest = json.loads(said(["skopeo", "inspect", "--raw", "--tls-verify=false", remote]))
    stored = sum(layer["size"] for layer in manifest["layers"])
    inspected = int(said([DOCKER, "image", "inspect", "--format", "{{.Size}}", NAME]))
    limit = said([*DISL, NAME, "10 GB", "--current-size"], PEERS).strip()

    print(f"truth, by how it was made:  {uncompressed:,} uncompressed, {flattened:,} flattened, {uncompressed - flattened:,} wasted")
    print(f"layergate:                  {totals['uncompressed']:,} uncompressed, {totals['flattened']:,} flattened, {totals['wasted']:,} wasted; {of_registry['compressed']:,} compressed")
    print(f"dive:                       {dive['sizeBytes']:,} in all, {dive['inefficientBytes']:,} inefficient, efficiency {dive['efficiencyScore']:.4f}")
    print(f"the engine:                 {inspected:,}")
    print(f"docker-image-size-limit:    {limit}")
    print(f"skopeo:                     {stored:,} compressed")
    print(f"\nmedians of {RUNS} runs after one to warm up, {os.cpu_count()} cores")
    pairs = [
        ("by name, from the engine", ([LAYERGATE, "inspect", NAME, "--no-cache"], {}), ([*DIVE, NAME], PEERS), "dive"),
        ("by name, all layers known", ([LAYERGATE, "inspect", NAME, "--cache-dir", f"{WORK}/cache"], {}), ([*DISL, NAME, "10 GB"], PEERS), "docker-image-size-limit"),
        ("what docker save wrote", ([LAYERGATE, "inspect", f"{WORK}/save.tar", "--no-cache"], {}), ([*DIVE, "--source", "docker-archive", f"{WORK}/save.tar"], PEERS), "dive"),
        ("in a registry, all layers known", ([LAYERGATE, "inspect", remote, "--cache-dir", f"{WORK}/cache"], {}), (["skopeo", "inspect", "--raw", "--tls-verify=false", remote], {}), "skopeo"),
    ]
    for what, own, peer, name in pairs:
        # Not the memory: a child process starts with as much as this one has.
        (seconds, _), (others, _) = measure(RUNS, own, peer)
        times = f"{others / seconds:6.1f} times"
        print(f"{what:32} layergate {seconds:7.3f} s   {name:24} {others:7.3f} s   {times}", flush=True)


main()
