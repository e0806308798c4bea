#!/usr/bin/env python3
"""trace.dat: files of all kinds (tests/traces/gen_dat.py) print as trace-cmd report prints them, whether
it is installed or not; damaged ones say what is wrong and show what can be read; memory does not grow with
the file."""
import glob
import json
import os
import struct
import subprocess
import sys

from cairn import CAIRN, SOURCE, main, need, test

TRACES = os.path.join(SOURCE, "tests", "traces")
sys.path.insert(0, TRACES)

# Those that print the same are kept once.
SAME_AS = {"made-v7": "made-v6", "made-v7-zlib": "made-v6", "made-v7-no-page-size": "made-v6",
           "made-v6-le32": "made-v6", "made-v7-be": "made-v6-be", "made-v6-be32": "made-v6-be",
           "made-v7-be32-zlib": "made-v6-be", "made-v6-graph-be32": "made-v7-graph", "made-v7-instance": "made-v6-instance",
           "made-v7-tsc-option": "made-v7-tsc", "made-v7-local-option": "made-v6"}


def make(t):
    t.run([sys.executable, os.path.join(TRACES, "gen_dat.py"), t.dir])


def expected(name):
    path = os.path.join(TRACES, "dat", "made", SAME_AS.get(name, name) + ".txt")
    with open(path, encoding="utf-8") as f:
        return f.read()


@test
def made_files(t):
    """Endianness, size of long, zlib, instances, clocks, lost events, all kinds of records."""
    make(t)
    names = sorted(os.path.basename(p)[:-4] for p in glob.glob(t.path("made-*.dat")))
    assert len(names) > 15
    for name in names:
        if "latency" in name:
            continue
        got = t.run([CAIRN, "print", t.path(name + ".dat")]).out
        assert got == expected(name), name


@test
def as_trace_cmd(t):
    """The same by the trace-cmd that is installed."""
    need("trace-cmd")
    make(t)
    files = glob.glob(t.path("made-*.dat")) + glob.glob(os.path.join(TRACES, "dat", "v*.dat"))
    seen = 0
    for path in files:
        name = os.path.basename(path)
        if "zlib" in name or "no-page-size" in name:
            continue  # not read by all of its releases
        theirs = t.run(["trace-cmd", "report", path], status=None).out
        ours = t.run([CAIRN, "print", path]).out
        if "latency" in name:
            theirs = theirs[:-1]  # it adds an empty line
        assert ours == theirs, name
        seen += 1
    assert seen > 15


@test
def latency_text(t):
    make(t)
    for name in ("made-v6-latency", "made-v7-latency", "made-v7-latency-zlib"):
        out = t.run([CAIRN, "print", t.path(name + ".dat")]).out
        assert out.splitlines()[1] == "# tracer: wakeup", out
        assert len(out.splitlines()) == 4, out
        item = json.loads(t.run([CAIRN, "print", "--json", t.path(name + ".dat")]).out.splitlines()[0])
        assert item["event"] == "latency_text" and item["fields"]["line"] == "# tracer: wakeup"


@test
def typed_fields(t):
    """Signs, arrays, both kinds of dynamic arrays, in both endiannesses."""
    make(t)
    for name in ("made-v7", "made-v6-be32"):
        out = t.run([CAIRN, "print", "--json", "-e", "made:kinds", "--since", "1000.000001",
                     t.path(name + ".dat")]).out
        items = [json.loads(line) for line in out.splitlines()]
        first = next(i for i in items if i["cpu"] == 0)
        assert first["tid"] == 12, first
        assert first["fields"] == {"tiny": 5, "half": -7, "word": -1, "wide": -1234567890123,
                                   "list": [1, 2, 3, 0xabc], "name": "a name", "data": [1, 2, 255]}, first


@test
def escapes(t):
    """What stands in a record does not drive a terminal, nor make lines."""
    make(t)
    out = t.run([CAIRN, "print", t.path("escape.dat")]).out
    assert "name=\\x1b[31m\\x0aforged\\xff flags" in out
    assert "\x1b" not in out


@test
def damage(t):
    """One error each, exit code 1, and what can be read is printed."""
    make(t)
    whole = expected("made-v6").count("\n")
    for name, lines, why in (
            ("bad-page", whole - 3, "2 pages of CPU 0 cannot be read"),
            ("bad-cut-v6", whole - 1, "the file is cut off"),
            ("bad-chunk", None, "1 chunk of CPU 0 cannot be read"),
            ("bad-option-ring", whole, "comes back to where it was"),
            ("bad-cut", whole, "the list of its CPUs is missing"),
            ("bad-cut-pages", whole - 1, "the list of its CPUs is missing"),
            ("bad-cut-zlib", whole, "the list of its CPUs is missing")):
        r = t.run([CAIRN, "print", t.path(name + ".dat")], status=1)
        assert why in r.err, r
        assert r.err.count("cairn print:") == 1, r
        if lines is not None:
            assert r.out.count("\n") == lines, (name, r.out.count("\n"), lines)
        else:
            assert "worker/1:1-1001" in r.out
        t.run([CAIRN, "stat", t.path(name + ".dat")], status=1)
    t.run([CAIRN, "print", t.write("text.dat", "no trace at all\n")], status=1)


@test
def every_cut(t):
    """A file that ends anywhere: never a crash, never silence."""
    make(t)
    for name in ("small-v6", "small-v7-zlib"):
        with open(t.path(name + ".dat"), "rb") as f:
            data = f.read()
        for n in range(10, len(data) - 1024, 211):
            with open(t.path("cut.dat"), "wb") as f:
                f.write(data[:n])
            r = t.run([CAIRN, "print", t.path("cut.dat")], status=1)
            assert r.err, (name, n)


def big_file(t, name, pages, compression):
    """A trace of one CPU with so many pages, times rising."""
    import gen_dat as gen
    kind = gen.Kind()
    one = kind.page_of(0, [kind.event(1000, kind.kinds(7, 1, 2, 3, 4, b"name", b"data"))
                           for _ in range(60)])
    data = [struct.pack("<Q", 10**12 + i * 100000) + one[8:] for i in range(pages)]
    with open(t.path(name), "wb") as f:
        f.write(gen.version7(kind, {0: data}, compression))
    return t.path(name)


def peak_kib(args):
    """Of a child, in a child of our own, since the peak is that of all children."""
    code = ("import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    return int(subprocess.run([sys.executable, "-c", code, *args], check=True,
                              stdout=subprocess.PIPE).stdout)


@test
def memory(t):
    for compression in ("none", "zlib"):
        small = big_file(t, "small.dat", 100, compression)
        big = big_file(t, "big.dat", 6000, compression)
        a, b = (peak_kib([CAIRN, "print", p]) for p in (small, big))
        assert b < a + 2048, (compression, a, b)


@test
def ranges(t):
    """--since and --until give the lines that lie between, from compressed and plain files."""
    for compression in ("none", "zlib"):
        path = big_file(t, "ranges.dat", 400, compression)
        every = t.run([CAIRN, "print", "--style", "trace", path]).out.splitlines()
        part = t.run([CAIRN, "print", "--style", "trace", "--since", "1000.02", "--until", "1000.03",
                      path]).out.splitlines()

        def seconds(line):
            return float(line.split("]")[1].split(":")[0])
        want = [line for line in every if 1000.02 <= seconds(line) < 1000.03]
        assert part == want and 5000 < len(part) < 7000, (compression, len(part), len(want))


@test
def merged(t):
    """Two files: one stream by time; events chosen by name and by process."""
    make(t)
    paths = [t.path("made-v7.dat"), t.path("made-v7-shift.dat")]
    out = t.run([CAIRN, "print", "--json", *paths]).out
    times = [json.loads(line)["time_ns"] for line in out.splitlines()]
    assert len(times) == 2 * 29 and times == sorted(times)
    out = t.run([CAIRN, "print", "-e", "sched", "-p", "second", paths[0]]).out
    assert out.count("sched_switch:") == out.count("second-12 ") == 1, out


if __name__ == "__main__":
    main()
