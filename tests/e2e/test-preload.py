#!/usr/bin/env python3
"""Programs under --with: they behave the same; those it cannot reach are named; its page is true."""
import os
import re

from cairn import BUILD, SOURCE, Skip, main, need, test

WITH = ("-q", "--ring-size", "4M", "--with", "libc,pthread")


def sizes(t, trace=None):
    """Of all allocations recorded."""
    return [e["fields"]["size"] for e in t.events(trace) if e["event"] == "malloc"]


@test
def real_programs_behave_the_same(t):
    """Output, errors and status of programs of the system, with wrappers and without."""
    t.write("in", "".join("%d line\n" % (i * 7919 % 1000) for i in range(5000)))
    t.write("x.c", "int main(void) { return 0; }\n")
    python = """
import json, os, subprocess, sys, threading
total = []
lock = threading.Lock()
def work(n):
    with lock:
        total.append(len(json.dumps([{"k": i} for i in range(n)])))
threads = [threading.Thread(target=work, args=(n,)) for n in range(50)]
[x.start() for x in threads]
[x.join() for x in threads]
print(sum(total), subprocess.run(["sh", "-c", "exit 9"]).returncode)
try:
    open("/nonexistent")
except OSError as e:
    print(e)
sys.exit(5)
"""
    for command, status in (
            (["sort", "-n", "in"], 0),
            (["sh", "-c", "sort -u in | head -n 3; grep -c 7 in; cat nothing; exit 3"], 3),
            (["bash", "-c", "exec 2>&-; x=$(seq 1000 | wc -l); (kill -9 $BASHPID); echo $x $?"], 0),
            (["sh", "-c", "kill -15 $$"], None),
            (["xargs", "-n", "100", "-P", "2", "-a", "in", "true"], 0),
            (["tar", "-cf", "out.tar", "--mtime=@0", "in"], 0),
            (["cc", "-c", "x.c", "-o", "x.o"], 0),
            (["python3", "-c", python], 5)):
        plain = t.run(command, status=None)
        trace = t.path("trace-" + command[0] + str(status))
        recorded = t.record(command, *WITH, status=None, trace=trace)
        want = 128 - plain.status if plain.status < 0 else plain.status
        assert status is None or plain.status == status, plain
        assert (recorded.status, recorded.out, recorded.err) == (want, plain.out, plain.err), (
            plain, recorded)


@test
def sanitized_programs_run(t):
    """gcc's AddressSanitizer refuses programs whose first library it is not."""
    t.write("a.c", "#include <stdlib.h>\nint main(void) { free(malloc(1234)); return 4; }\n")
    # which may find their own memory taken where addresses are at random
    calm = ["setarch", "-R"] if t.run(["sh", "-c", "setarch -R true"], status=None).status == 0 else []
    for what in ("address", "thread", "undefined"):
        r = t.run(["cc", "-fno-builtin", "-fsanitize=" + what, "-o", what, "a.c"], status=None)
        if r.status != 0 or t.run([*calm, t.path(what)], status=None).status != 4:
            raise Skip("no programs with -fsanitize=" + what)
        trace = t.path("trace-" + what)
        t.record([*calm, t.path(what)], *WITH, status=4, trace=trace, env={"ASAN_OPTIONS": "verbosity=0"})
        assert sizes(t, trace).count(1234) == 1, (what, sizes(t, trace))


@test
def other_allocators_work_beneath(t):
    """Linked or preloaded; what they do not have is the C library's."""
    lib = t.compile("liballoc.so", r"""
#include <stddef.h>
#include <stdint.h>
#include <string.h>
static char arena[8 << 20] __attribute__((aligned(4096)));
static uint64_t used;
void *malloc(size_t size)
{
	size_t *p = (size_t *)(arena + __atomic_fetch_add(&used, (size + 47) & ~31ul, __ATOMIC_RELAXED));
	p[1] = size;
	return p + 2;
}
void free(void *p) {}
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *old, size_t size)
{
	void *p = malloc(size);
	if (old) memcpy(p, old, ((size_t *)old)[-1] < size ? ((size_t *)old)[-1] : size);
	free(old);
	return p;
}
char *in_arena(void *p) { return (char *)p >= arena && (char *)p < arena + sizeof(arena) ? "in" : "out"; }
""", ["-shared", "-fPIC", "-fno-builtin"])
    text = r"""
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
__attribute__((weak)) char *in_arena(void *p);
int main(void)
{
	char *p = strdup("text");
	p = realloc(p, 1234);
	printf("%s %s\n", p, in_arena(p));
	free(p);
	puts(in_arena(memalign(64, 64)));
	return 0;
}
"""
    linked = t.compile("linked", text, ["-fno-builtin", lib])
    alone = t.compile("alone", text, ["-fno-builtin"])
    for prog, env in ((linked, {}), (alone, {"LD_PRELOAD": lib})):
        trace = t.path("trace-" + os.path.basename(prog))
        r = t.record([prog], *WITH, trace=trace, env=env)
        assert (r.out, r.err) == ("text in\nout\n", ""), r
        events = t.events(trace)
        assert [e["fields"]["size"] for e in events if e["event"] == "realloc"] == [1234]
        freed = [e["fields"]["ptr"] for e in events if e["event"] == "free"]
        assert [e["fields"]["ptr"] for e in events if e["event"] == "realloc"][0] in freed


# ---- programs that cannot be reached ----

HELLO = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 4; }\n"


def warned(t, command, text, status=4):
    """It runs as ever, and cairn says why it cannot be recorded. Gives the result."""
    r = t.record(command, *WITH, status=status, trace=t.path("trace-%s" % len(os.listdir(t.dir))))
    first = r.err.splitlines()[0] if r.err else "nothing"
    assert first.startswith("cairn record: ") and text in first, (text, r)
    return r


@test
def static_programs_are_named(t):
    for name, flag in (("fixed", "-static"), ("pie", "-static-pie")):
        prog = t.compile(name, HELLO, [flag])
        assert warned(t, [prog], name + " is a static program").out == "hello\n"
    script = t.write("script", "#! %s\n" % t.path("fixed"))
    os.chmod(script, 0o755)
    warned(t, [script], t.path("fixed") + " is a static program")
    t.env["PATH"] = t.dir + ":" + t.env["PATH"]
    warned(t, ["fixed"], t.path("fixed") + " is a static program")
    r = t.record(["sh", "-c", "echo; exit 4"], *WITH, status=4)
    assert "static" not in r.err, r


@test
def dynamic_children_of_static_programs_are_recorded(t):
    starter = t.compile("starter", "#include <unistd.h>\nint main(int argc, char **argv)\n"
                        "{ execv(argv[1], argv + 1); return 1; }\n", ["-static"])
    prog = t.compile("p", "#include <stdlib.h>\nint main(void) { free(malloc(1234)); }",
                     ["-fno-builtin"])
    r = t.record([starter, prog], *WITH)
    assert "is a static program" in r.err, r
    assert sizes(t).count(1234) == 1


@test
def programs_with_other_rights_are_named(t):
    if os.geteuid() != 0 or os.statvfs(t.dir).f_flag & os.ST_NOSUID:
        raise Skip("needs root, to make set-user-ID files, and a file system that allows them")
    prog = t.compile("p", HELLO)
    r = t.record([prog], *WITH, status=4)
    assert "rights" not in r.err, r
    for mode, uid, gid in ((0o4755, 65534, 0), (0o2755, 0, 65534)):
        os.chown(prog, uid, gid)
        os.chmod(prog, mode)
        assert warned(t, [prog], "other rights").out == "hello\n"
    os.chown(prog, 0, 0)
    os.chmod(prog, 0o6755)  # root's own: nothing changes
    r = t.record([prog], *WITH, status=4, trace=t.path("own"))
    assert "rights" not in r.err, r


@test
def programs_of_32_bits_are_named(t):
    t.write("x.c", "void _start(void) { __asm__(\"mov $1, %eax; mov $4, %ebx; int $0x80\"); }\n")
    r = t.run(["cc", "-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-o", "x", "x.c"], status=None)
    if r.status != 0:
        raise Skip("this compiler makes no 32-bit programs")
    if t.run([t.path("x")], status=None).status != 4:
        raise Skip("this kernel runs no 32-bit programs")
    warned(t, [t.path("x")], "x is a 32-bit program")


@test
def programs_of_another_libc_run_without(t):
    loader = "/lib64/ld-linux-x86-64.so.2"
    if not os.path.exists(loader):
        raise Skip("needs " + loader)
    other = t.path("ld-other.so.1")  # which the wrappers may not know
    os.symlink(loader, other)
    prog = t.compile("p", "#include <stdio.h>\n#include <stdlib.h>\nint main(void)\n"
                     "{ char *p = getenv(\"LD_PRELOAD\"); puts(p ? p : \"none\"); return 4; }",
                     ["-Wl,--dynamic-linker=" + other])
    assert warned(t, [prog], "p is of another C library").out == "none\n"


@test
def wrappers_do_without_dlvsym(t):
    """musl has none; its programs that a recorded program starts load the wrappers, and must run."""
    need("nm")
    for name in ("libc", "pthread"):
        out = t.run(["nm", "-D", os.path.join(BUILD, "libcairn-%s.so" % name)]).out
        assert re.search(r" w dlvsym\b", out), out


# ---- the manual page ----

@test
def the_page_names_every_event_and_field(t):
    """docs/man/cairn-libc.7 against the events of the libraries, as they stand in a trace."""
    prog = t.compile("p", "#include <stdlib.h>\nint main(void) { free(malloc(1)); }", ["-fno-builtin"])
    t.record([prog], *WITH)
    with open(os.path.join(t.trace, "metadata"), encoding="utf-8") as f:
        metadata = f.read()
    events = {}
    for name, text in re.findall(r'event \{\s*name = "((?:libc|pthread):\w+)";.*?fields := struct \{(.*?)\n\t\};',
                                 metadata, re.S):
        fields = re.findall(r"(\w+) _(\w+)(?:\[\w+\])?;", text)
        events[name] = [(n, kind) for kind, n in fields if not n.endswith("_length")]
    assert len(events) > 30, sorted(events)
    with open(os.path.join(SOURCE, "docs/man/cairn-libc.7.scd"), encoding="utf-8") as f:
        page = f.read()
    said = {}
    for name, text in re.findall(r"^\*((?:libc|pthread):\w+)\*\n((?:\t.*\n)+)", page, re.M):
        assert name not in said, name + " is there twice"
        said[name] = re.findall(r"(?:^|\s)_(\w+?)_\s+\(([^)]+)\)", text)
    assert sorted(said) == sorted(events)
    for name, fields in events.items():
        assert [n for n, _ in said[name]] == [n for n, _ in fields], (name, said[name], fields)
        for (field, kind), (_, unit) in zip(fields, said[name]):
            want = ("address" if kind == "hex64_t" else "string" if kind == "string"
                    else "nanoseconds" if field.endswith("_ns") else "hexadecimal" if "hex" in kind
                    else "bytes" if field in ("size", "align", "offset") else "")
            assert want in unit, (name, field, kind, unit)


main()
