"""Runs each pair of commands in turns and prints medians, ratios and peak memory; see benches/run."""

import os
import sys
import tempfile

from timing import measure, once

RUNS, LAYERGATE, FLOOR, DIVE, DOCKER, WORK, REGISTRY, REGISTRY_LOG = sys.argv[1:]
RUNS = max(5, int(RUNS))


def layergate(image, *options):
    return [LAYERGATE, "inspect", image, *options], {}


def dive(archive):
    return [DIVE, "--source", "docker-archive", archive], {"CI": "true"}


def row(what, own, other, goal, reached, name):
    own_seconds, own_memory = own
    other_text = f"{name} {other[0]:.3f} s" if other else name
    print(
        f"{what:34} {own_seconds:8.3f} s  {other_text:22} {goal:26} {reached:>12}  {own_memory / 1024:6.1f} MiB",
        flush=True,
    )


def requests():
    with open(REGISTRY_LOG, encoding="utf-8", errors="replace") as log:
        return [line for line in log if '"GET ' in line or '"HEAD ' in line]


def main():
    save, oci, million = f"{WORK}/save.tar", f"{WORK}/oci.tar", f"{WORK}/million.tar"
    print(f"medians of {RUNS} runs after one to warm up, {os.cpu_count()} cores\n")
    print(f"{'what is read':34} {'layergate':>10}  {'compared with':22} {'goal':26} {'reached':>12}  peak memory")

    own, peer = measure(RUNS, layergate(save, "--no-cache"), dive(save))
    row("docker save archive, plain", own, peer, "30 times faster", f"{peer[0] / own[0]:.1f} x", "dive")

    own, peer, floor = measure(RUNS, layergate(oci, "--no-cache"), dive(oci), ([FLOOR, oci], {}))
    row("OCI archive, gzip", own, peer, "4 times faster", f"{peer[0] / own[0]:.1f} x", "dive")
    row("OCI archive, gzip", own, floor, "1.25 of inflating alone", f"{own[0] / floor[0]:.2f}", "inflating")

    own, floor = measure(RUNS, layergate("bench:1", "--no-cache"), ([DOCKER, "save", "bench:1"], {}))
    row("engine, nothing known", own, floor, "1.1 of docker save alone", f"{own[0] / floor[0]:.2f}", "docker save")

    with tempfile.TemporaryDirectory() as cache:
        known = ["--cache-dir", cache]
        once(*layergate("bench:1", *known))
        (own,) = measure(RUNS, layergate("bench:1", *known))
        row("engine, everything known", own, None, "under 0.2 s", f"{own[0]:.3f} s", "")
        remote = layergate(f"docker://{REGISTRY}/bench:1", *known)
        once(*remote)
        seen = len(requests())
        (own,) = measure(RUNS, remote)
        asked = requests()[seen:]
        blobs = sum("/blobs/" in line for line in asked)
        goal = f"{blobs / (RUNS + 1):.0f} blob a run, the config"
        row("registry, everything known", own, None, "no blob but the config", goal.split(",", 1)[0], "")
        raw = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{REGISTRY}/bench:1"]
        own, peer = measure(RUNS, remote, (raw, {}))
        row("registry, everything known", own, peer, "1.5 of the manifest alone", f"{own[0] / peer[0]:.2f}", "skopeo")

    (own,) = measure(RUNS, layergate(million, "--no-cache"))
    row("1,000,000 files, plain", own, None, "under 400 MiB", f"{own[1] / 1024:.0f} MiB", "")

    (own,) = measure(RUNS, ([LAYERGATE, "diff", f"snapshot:{WORK}/base.json", f"snapshot:{WORK}/head.json"], {}))
    goal = f"{own[0]:.3f} s"
    row("diff of two of 100,000 files", own, None, "under 0.5 s and 300 MiB", goal, "")


main()
