#!/usr/bin/env python3
"""Stacks with kernel events: named when the program is gone, and never by another build's names."""
import json
import os
import platform
import shutil

from cairn import CAIRN, Skip, main, need, test, wait_for

TRACEFS = "/sys/kernel/tracing"
EVENT = "syscalls:sys_enter_getppid"
FRAMES = ["-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-fno-optimize-sibling-calls"]
FLAGS = ["-g", "-O1", *FRAMES, "-fno-pie", "-no-pie", "-Wl,--build-id=sha1", "-ldl"]
CALL = r"""
#include <sys/syscall.h>
#define LONG_NAME(x) __attribute__((noinline)) x
static inline __attribute__((always_inline)) void asks(void)
{
	volatile long r; /* in memory: the compiler makes a frame */
	long nr = SYS_getppid;
	__asm__ volatile("syscall\n\tmov %%rax, %0" : "=m"(r), "+a"(nr) : : "rcx", "r11", "memory"); /* ASKS */
}
"""
PROGRAM = CALL + r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
void inner(void);
void outer(void);
LONG_NAME(void inner(void))
{
	asks(); /* INNER */
	__asm__ volatile("" ::: "memory");
}
LONG_NAME(void outer(void))
{
	inner(); /* OUTER */
	__asm__ volatile("" ::: "memory");
}
int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == '-') { /* told when it may go on */
		puts("ready");
		fflush(stdout);
		(void)getchar();
	}
	outer(); /* MAIN */
	if (argc > 1 && argv[1][0] == '/') { /* a child with a library that the parent never had */
		pid_t child = fork();
		if (child == 0) {
			void *lib = dlopen(argv[1], RTLD_NOW);
			void (*f)(void);
			*(void **)&f = lib ? dlsym(lib, "of_library") : 0;
			if (!f) _exit(1);
			outer();
			f();
			_exit(0);
		}
		int status = 1;
		if (waitpid(child, &status, 0) != child || status) return 1;
	}
	if (argc > 1 && argv[1][0] == '.') unlink(argv[0]);
	return 0;
}
"""
LIBRARY = CALL + r"""
void of_library(void);
LONG_NAME(void of_library(void))
{
	asks(); /* LIBRARY */
	__asm__ volatile("" ::: "memory");
}
"""


def need_stacks():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if platform.machine() != "x86_64":
        raise Skip("the program is of x86-64")
    for file in ("options/stacktrace", "options/userstacktrace", "events/syscalls/sys_enter_getppid"):
        if not os.path.exists(TRACEFS + "/" + file):
            raise Skip("this kernel has no " + file)


def line_of(source, mark):
    return next(n for n, text in enumerate(source.split("\n"), 1) if "/* %s */" % mark in text)


def stacks(t, kind, *options):
    """The frames of each stack of this kind that begins in the program or library under test."""
    found = [e for e in t.events(None, "--stacks", *options) if e["event"] == kind]
    for e in found:
        assert e["provider"] == "ftrace", e
    return found


def in_program(t, kind="user_stack"):
    return [e for e in stacks(t, kind) if e["frames"][0].get("path", "").startswith(t.dir)]


def functions(stack):
    return [f.get("function") for f in stack["frames"]]


def check_program(t, stack):
    assert functions(stack)[:4] == ["asks", "inner", "outer", "main"], stack
    lines = [line_of(PROGRAM, m) for m in ("ASKS", "INNER", "OUTER", "MAIN")]
    frames = stack["frames"]
    assert [f["line"] for f in frames[:3]] == lines[:3], (frames, lines)
    assert all(f["file"].endswith("prog.c") for f in frames[:4]), frames
    assert [bool(f.get("inlined")) for f in frames[:4]] == [True, False, False, False], frames


@test
def program_child_and_library(t):
    need_stacks()
    lib = t.compile("lib.so", LIBRARY, ["-g", "-O1", *FRAMES, "-shared", "-fPIC",
                                        "-Wl,--build-id=sha1"])
    prog = t.compile("prog", PROGRAM, FLAGS)
    t.record([prog, lib], "-k", EVENT, "--stack", "user")
    got = in_program(t)
    assert len(got) == 3, got
    check_program(t, got[0])
    assert functions(got[1])[:4] == ["asks", "inner", "outer", "main"], got[1]
    assert functions(got[2])[:3] == ["asks", "of_library", "main"], got[2]
    assert got[2]["frames"][0]["path"] == os.path.realpath(lib), got[2]
    assert got[2]["frames"][0]["line"] == line_of(LIBRARY, "ASKS")
    assert got[0]["fields"]["tgid"] != got[1]["fields"]["tgid"]
    t.check_babeltrace()


@test
def text_has_a_line_a_frame(t):
    need_stacks()
    prog = t.compile("prog", PROGRAM, FLAGS)
    t.record([prog], "-k", EVENT, "--stack", "both")
    lines = t.cairn("print", "--stacks", t.trace).out.splitlines()
    at = next(i for i, l in enumerate(lines) if l.startswith(" => asks"))
    where = "%s.c:%%d" % os.path.realpath(prog)
    assert lines[at] == " => asks (%s) inlined" % (where % line_of(PROGRAM, "ASKS")), lines[at]
    assert lines[at + 1].startswith(" => inner+0x") and \
        lines[at + 1].endswith("(%s) [%s]" % (where % line_of(PROGRAM, "INNER"),
                                              os.path.realpath(prog))), lines[at + 1]
    assert lines[at - 1].endswith(" ftrace:user_stack:"), lines[at - 1]
    assert " syscalls:sys_enter_getppid:" in "\n".join(lines[:at]), lines
    # and without --stacks each is a line with its numbers
    plain = t.cairn("print", t.trace).out.splitlines()
    assert all("-" in l.split()[0] for l in plain), plain


@test
def kernel_functions(t):
    need_stacks()
    with open("/proc/kallsyms") as f:
        known = {l.split()[2] for l in f}
    prog = t.compile("prog", PROGRAM, FLAGS)
    t.record([prog], "-k", EVENT, "--stack", "kernel")
    got = stacks(t, "kernel_stack")
    assert got and not [e for e in t.events() if e["event"] == "user_stack"]
    for e in got:
        names = functions(e)
        assert e["fields"]["size"] == len(e["fields"]["caller"]) == len(names) > 1, e
        assert set(names) <= known, e
        assert any("syscall" in n or "SYSCALL" in n for n in names), e
    t.check_babeltrace()


def with_all_symbols(trace):
    """The trace's kernel texts, with all of kallsyms in the place of what it keeps."""
    path = os.path.join(trace, "kernel", "formats", "events")
    with open(path, "rb") as f:
        kept = f.read()
    at = kept.index(b"file - kallsyms ")
    head, _, rest = kept[at:].partition(b"\n")
    length = int(head.split()[3])
    with open("/proc/kallsyms", "rb") as f:
        symbols = f.read()
    with open(path, "wb") as f:
        f.write(kept[:at] + b"file - kallsyms %d\n%s\n" % (len(symbols), symbols) +
                rest[length + 1:])
    return length


@test
def symbols_that_records_name_are_kept(t):
    need_stacks()
    t.record(["ls", "-l", "/usr"], "-k", "kmem:*", "-k", "timer:*", "-k", "sched:*", "-k", EVENT,
             "--stack", "kernel")
    kept = t.cairn("print", "--stacks", t.trace).out
    length = with_all_symbols(t.trace)
    whole = t.cairn("print", "--stacks", t.trace).out
    assert kept.count("call_site=") > 10 and kept.count(" => ") > 100
    assert kept == whole, [x for x in zip(kept.splitlines(), whole.splitlines()) if x[0] != x[1]][:5]
    assert length < 400000, length


@test
def another_build_is_not_believed(t):
    need_stacks()
    prog = t.compile("prog", PROGRAM, FLAGS)
    t.record([prog], "-k", EVENT, "--stack", "user")
    (got,) = in_program(t)
    build, offset = got["frames"][0]["build_id"], got["frames"][0]["path_offset"]
    os.rename(prog, t.path("kept"))
    t.compile("prog", PROGRAM.replace("inner", "other"), FLAGS)
    for _ in range(2):
        (got,) = in_program(t)
        assert not got["frames"][0].get("function"), got
        assert got["frames"][0]["build_id"] == build and got["frames"][0]["path_offset"] == offset
        text = t.cairn("print", "--stacks", t.trace).out
        assert " => %s+0x%x (build id %s)" % (os.path.realpath(t.path("kept")).replace("kept", "prog"),
                                             offset, build) in text, text
        if os.path.exists(prog):
            os.unlink(prog)  # nor is there anything then
    os.rename(t.path("kept"), prog)
    check_program(t, in_program(t)[0])


@test
def programs_that_were_there(t):
    need_stacks()
    prog = t.compile("prog", PROGRAM, FLAGS)
    p = t.start([prog, "-"], stdin=-1, stdout=-1)
    assert p.stdout.readline() == b"ready\n"
    r = t.start([CAIRN, "record", "-q", "-o", t.trace, "-k", EVENT, "--stack", "user", "-p", str(p.pid)])
    names = "cairn-%d-" % r.pid

    def on():
        ours = [n for n in os.listdir(TRACEFS + "/instances") if n.startswith(names)]
        assert r.poll() is None, r.returncode
        files = [TRACEFS + "/instances/%s/%s" % (n, f) for n in ours for f in ("set_event", "tracing_on")]
        return ours and EVENT in open(files[0]).read() and open(files[1]).read().strip() == "1"
    wait_for(on, "tracing is on")
    p.stdin.close()
    assert p.wait() == 0
    assert r.wait() == 0
    check_program(t, in_program(t)[0])
    assert not [n for n in os.listdir(TRACEFS + "/instances") if n.startswith(names)]


@test
def each_piece_names_its_files(t):
    need_stacks()
    prog, whole = t.compile("prog", PROGRAM, FLAGS), t.trace
    t.daemon()
    t.cairn("session", "create", "s", "--kernel-all", "-k", EVENT, "--stack", "user", "-o", whole, "--start")
    for _ in range(3):
        t.run([prog])
        t.cairn("session", "rotate", "s")
    t.cairn("session", "destroy", "s")
    for i in (1, 2, 3):
        t.trace = whole + "/chunk-%d" % i
        (got,) = in_program(t)
        check_program(t, got)


@test
def stripped_with_its_debug_file(t):
    need_stacks()
    need("objcopy")
    prog = t.compile("prog", PROGRAM, FLAGS)
    t.run(["objcopy", "--only-keep-debug", prog, t.path("prog.debug")])
    t.run(["strip", prog])
    t.run(["objcopy", "--add-gnu-debuglink=" + t.path("prog.debug"), prog])
    t.record([prog], "-k", EVENT, "--stack", "user")
    check_program(t, in_program(t)[0])
    os.unlink(t.path("prog.debug"))
    (got,) = in_program(t)
    assert not got["frames"][0].get("function"), got


@test
def wrong_words_are_refused(t):
    r = t.cairn("record", "--stack", "all", "-k", EVENT, "--", "true", status=2)
    assert "expected kernel, user or both" in r.err, r
    r = t.cairn("record", "--stack", "user", "--", "true", status=2)
    assert "--stack goes with kernel events" in r.err, r


main()
