"""What the peers share: reading the reference file, and the conversation with the harness.

The harness starts a peer with the path of a safetensors file, a number of threads and a clock, wall or cpu. The peer prints one line,
{"losses": [[...], ...], "what": "..."}; then for each line "run N" it does N units of work and prints {"ms": ...}
per unit, until its input ends.
"""

import json
import os
import sys
import time

import numpy as np

DTYPES = {"F32": np.float32, "I32": np.int32}


def read_safetensors(path):
    """Arrays by name, and the settings of the metadata."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    settings = json.loads(header.pop("__metadata__")["settings"])
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"]).copy()
    return arrays, settings


def under(arrays, path):
    """The arrays whose names begin with the path, without it."""
    return {name[len(path) + 1 :]: x for name, x in arrays.items() if name.startswith(path + ".")}


def limit_to_cpus(threads):
    """Keeps this process on that many CPUs; to be called before libraries start their threads."""
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[:threads])


def serve(cases, what):
    """cases: functions (arrays, settings) -> (losses, run) by name; run(n) does n units of work."""
    arrays, settings = read_safetensors(sys.argv[1])
    losses, run = cases[settings["peer"]](arrays, settings)
    print(json.dumps({"losses": losses, "what": what}), flush=True)
    clock = time.process_time if sys.argv[3] == "cpu" else time.perf_counter
    for line in sys.stdin:
        units = int(line.split()[1])
        started = clock()
        run(units)
        print(json.dumps({"ms": (clock() - started) * 1e3 / units}), flush=True)
