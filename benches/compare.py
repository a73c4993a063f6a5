"""Runs each pair of commands in turns and prints medians, ratios and peak memory; see benches/run."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS, LAYERGATE, FLOOR, DIVE, DOCKER, WORK, REGISTRY, REGISTRY_LOG = sys.argv[1:]
RUNS = max(5, int(RUNS))


def once(command, environment):
    """Seconds, and the peak memory of the process in KiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"this failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss


def measure(*commands, before=lambda: None):
    """Medians of several commands, run in turns so that a change of the machine's speed hits all."""
    results = [[] for _ in commands]
    for turn in range(RUNS + 1):
        for command, found in zip(commands, results):
            before()
            result = once(*command)
            if turn > 0:
                found.append(result)
    return [tuple(statistics.median(column) for column in zip(*found)) for found in results]


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

    own, peer = measure(layergate(save, "--no-cache"), dive(save))
    row("docker save archive, plain", own, peer, "30 times faster", f"{peer[0] / own[0]:.1f} x", "dive")

    own, peer, floor = measure(layergate(oci, "--no-cache"), dive(oci), ([FLOOR, oci], {}))
    row("OCI archive, gzip", own, peer, "4 times faster", f"{peer[0] / own[0]:.1f} x", "dive")
    row("OCI archive, gzip", own, floor, "1.25 of inflating alone", f"{own[0] / floor[0]:.2f}", "inflating")

    own, floor = measure(layergate("bench:1", "--no-cache"), ([DOCKER, "save", "bench:1"], {}))
    row("engine, nothing known", own, floor, "1.1 of docker save alone", f"{own[0] / floor[0]:.2f}", "docker save")

    with tempfile.TemporaryDirectory() as cache:
        known = ["--cache-dir", cache]
        once(*layergate("bench:1", *known))
        (own,) = measure(layergate("bench:1", *known))
        row("engine, everything known", own, None, "under 0.2 s", f"{own[0]:.3f} s", "")
        remote = layergate(f"docker://{REGISTRY}/bench:1", *known)
        once(*remote)
        seen = len(requests())
        (own,) = measure(remote)
        asked = requests()[seen:]
        blobs = sum("/blobs/" in line for line in asked)
        goal = f"{blobs / (RUNS + 1):.0f} blob a run, the config"
        row("registry, everything known", own, None, "no blob but the config", goal.split(",", 1)[0], "")

    (own,) = measure(layergate(million, "--no-cache"))
    row("1,000,000 files, plain", own, None, "under 400 MiB", f"{own[1] / 1024:.0f} MiB", "")

    (own,) = measure(([LAYERGATE, "diff", f"snapshot:{WORK}/base.json", f"snapshot:{WORK}/head.json"], {}))
    goal = f"{own[0]:.3f} s"
    row("diff of two of 100,000 files", own, None, "under 0.5 s and 300 MiB", goal, "")


main()
