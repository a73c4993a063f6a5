"""Times whole processes, several commands in turns."""

import os
import statistics
import subprocess
import sys
import time


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


def measure(runs, *commands, before=lambda: None):
    """Medians of several commands, run in turns so that changes of the machine's speed affect all of them."""
    results = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, found in zip(commands, results):
            before()
            result = once(*command)
            if turn > 0:
                found.append(result)
    return [tuple(statistics.median(column) for column in zip(*found)) for found in results]
