#!/usr/bin/env python3
"""The trace of test-ctf-write-sample, read by others.

usage: test-ctf-write.py SAMPLE EXPECTED

CTF 1.8 goes through babeltrace2, which must say nothing but that events were discarded (some were)
and print exactly EXPECTED; the streaming form, taken apart, must give the same files; the metadata
of CTF 2 is checked against the rules of its specification.
"""
import collections
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

# A build for another CPU runs its programs through an emulator.
sample = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + [sys.argv[1]]
expected = sys.argv[2]
number = 0
failed = 0


def result(name, problem=None, skip=None):
    global number, failed
    number += 1
    if problem:
        failed += 1
        print("# " + str(problem).replace("\n", "\n# "))
    print(f"{'not ok' if problem else 'ok'} {number} - {name}{' # SKIP ' + skip if skip else ''}")


def make(version):
    path = tempfile.mkdtemp(prefix="cairn-test-")
    subprocess.run([*sample, path, version], check=True)
    return path


def test_babeltrace(path):
    if not shutil.which("babeltrace2"):
        return result("babeltrace2 reads it", skip="no babeltrace2")
    run = subprocess.run(["babeltrace2", "--clock-cycles", "--no-delta", path],
                         capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    said = [l for l in run.stderr.splitlines() if l and "Tracer discarded 4 events" not in l]
    if run.returncode or said:
        return result("babeltrace2 reads it", "\n".join(said) or "it failed")
    got = run.stdout.splitlines()
    want = open(expected, encoding="utf-8").read().splitlines()
    for i, (g, w) in enumerate(zip(got, want)):
        if g != w:
            return result("babeltrace2 reads it", f"event {i}\n got  {g}\n want {w}")
    result("babeltrace2 reads it", len(got) != len(want) and f"{len(got)} events, not {len(want)}")


def test_stream(path):
    data = subprocess.run([*sample, "-", "1"], capture_output=True, check=True).stdout
    files = collections.defaultdict(bytes)
    at = 0
    while at < len(data):
        magic, = struct.unpack_from("<I", data, at)
        if magic == 0x75d11d57:
            content, size = struct.unpack_from("<II", data, at + 24)
            files["metadata"] += data[at + 37:at + content // 8]
        elif magic == 0xc1fc1fc1:
            instance, = struct.unpack_from("<Q", data, at + 24)
            size, = struct.unpack_from("<Q", data, at + 56)
            files[f"ring{instance & 0xff}"] += data[at:at + size // 8]
        else:
            return result("streaming form", f"no packet at {at}")
        at += size // 8
    for name in sorted(set(os.listdir(path)) | set(files)):
        if open(os.path.join(path, name), "rb").read() != files[name]:
            return result("streaming form", f"{name} differs")
    result("streaming form")


class Bad(Exception):
    pass


def need(what, cond):
    if not cond:
        raise Bad(what)


INTS = ("fixed-length-unsigned-integer", "fixed-length-signed-integer")
SCALARS = INTS + ("fixed-length-boolean", "fixed-length-floating-point-number")


def check_location(where, origins):
    need(f"location {where}", where["origin"] in origins and where["path"])


def check_field(fc, roles, seen):
    """One field class; `roles` are those allowed here, `seen` the names before it."""
    kind = fc["type"]
    for role in fc.get("roles", ()):
        need(f"role {role}", role in roles)
    if kind in SCALARS:
        need("byte order", fc["byte-order"] == "little-endian")
        need("length", 0 < fc["length"] <= 64)
        need("alignment", fc["alignment"] in (1, 8))
        for name, ranges in fc.get("mappings", {}).items():
            need(f"mapping {name}", ranges and all(len(r) == 2 and r[0] <= r[1] for r in ranges))
            low = 0 if kind == INTS[0] else -(1 << fc["length"] - 1)
            high = (1 << fc["length"] - (kind != INTS[0])) - 1
            need(f"range of {name}", all(low <= v <= high for r in ranges for v in r))
    elif kind == "structure":
        names = []
        for member in fc["member-classes"]:
            need(f"{member['name']} twice", member["name"] not in names)
            check_field(member["field-class"], roles, names)
            names.append(member["name"])
    elif kind == "variant":
        check_location(fc["selector-field-location"], ("event-record-header",))
        need("selector", fc["selector-field-location"]["path"][-1] in seen)
        for option in fc["options"]:
            need("ranges", option["selector-field-ranges"])
            check_field(option["field-class"], roles, [])
    elif kind.startswith("static-length-"):
        need("length", fc["length"] >= 0)
    elif kind.startswith("dynamic-length-"):
        check_location(fc["length-field-location"], ("event-record-payload",))
        need("length field", fc["length-field-location"]["path"][-1] in seen)
    else:
        need(f"type {kind}", kind == "null-terminated-string")
    if kind.endswith("-array"):
        check_field(fc["element-field-class"], (), [])


CONTEXT_ROLES = ("default-clock-timestamp", "packet-end-default-clock-timestamp",
                 "packet-content-length", "packet-total-length", "packet-sequence-number",
                 "discarded-event-record-counter-snapshot")
SCOPES = {  # property of a fragment: roles allowed inside
    "packet-header-field-class": ("packet-magic-number", "metadata-stream-uuid",
                                  "data-stream-class-id", "data-stream-id"),
    "packet-context-field-class": CONTEXT_ROLES,
    "event-record-header-field-class": ("event-record-class-id", "default-clock-timestamp"),
    "event-record-common-context-field-class": (),
    "payload-field-class": (),
}


def no_twice(pairs):
    names = [name for name, _ in pairs]
    need(f"property twice in {names}", len(names) == len(set(names)))
    return dict(pairs)


def check_ctf2(text):
    need("begins with RS", text[0] == "\x1e")
    fragments = [json.loads(f, object_pairs_hook=no_twice) for f in text[1:].split("\x1e")]
    kinds = [f["type"] for f in fragments]
    need("one preamble, first", kinds.index("preamble") == 0 and kinds.count("preamble") == 1)
    need("version", fragments[0]["version"] == 2 and len(fragments[0]["uuid"]) == 16)
    need("one trace class", kinds.count("trace-class") == 1)
    streams, clocks, events = set(), set(), set()
    for f in fragments[1:]:
        for scope, roles in SCOPES.items():
            if scope in f:
                check_field(f[scope], roles, [])
        if f["type"] == "trace-class":
            need("before streams", not streams)
            need("environment", all(isinstance(v, (int, str)) for v in f["environment"].values()))
        elif f["type"] == "clock-class":
            need("clock", f["frequency"] > 0 and f["origin"] == "unix-epoch")
            need("cycles", 0 <= f["offset-from-origin"]["cycles"] < f["frequency"])
            clocks.add(f["id"])
        elif f["type"] == "data-stream-class":
            need("clock of stream", f["default-clock-class-id"] in clocks)
            need("stream twice", f["id"] not in streams)
            streams.add(f["id"])
        else:
            need("fragment", f["type"] == "event-record-class")
            need("stream of event", f["data-stream-class-id"] in streams)
            key = f["data-stream-class-id"], f["id"]
            need("event twice", key not in events)
            events.add(key)
    need("events", len(events) > 1000)


def test_ctf2():
    path = make("2")
    problem = None
    try:
        check_ctf2(open(os.path.join(path, "metadata"), encoding="utf-8").read())
    except (Bad, KeyError, ValueError) as e:
        problem = f"{type(e).__name__}: {e}"
    result("metadata of CTF 2", problem)
    return path


one = make("1")
test_babeltrace(one)
test_stream(one)
two = test_ctf2()
same = all(open(os.path.join(one, n), "rb").read() == open(os.path.join(two, n), "rb").read()
           for n in os.listdir(one) if n != "metadata")
result("packets are the same in both versions", not same and "they differ")
shutil.rmtree(one)
shutil.rmtree(two)
print(f"1..{number}")
sys.exit(failed != 0)
