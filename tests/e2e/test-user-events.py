#!/usr/bin/env python3
"""libcairn-user-events.so: marked events in the words and records of the kernel's user_events.

A library in front of open(2) and ioctl(2) plays the kernel, which need not have user events: it notes
what is registered, sets the bit of what is "recorded", and writes go to a file. What the real kernel says
is tested in tests/vm.
"""
import os
import platform
import struct

from cairn import BUILD, CAIRN, Skip, main, test

LIBRARY = os.path.join(BUILD, "libcairn-user-events.so")
KERNEL = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
struct user_reg {
	uint32_t size;
	uint8_t enable_bit, enable_size;
	uint16_t flags;
	uint64_t enable_addr, name_args;
	uint32_t write_index;
} __attribute__((packed));
int open(const char *path, int flags, ...)
{
	if (strstr(path, "/user_events_data"))
		path = getenv("FAKE_DATA");
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int ioctl(int fd, unsigned long request, ...)
{
	static uint32_t n;
	static char first[512];
	va_list ap;
	struct user_reg *r;
	FILE *log;
	char name[512];
	(void)fd;
	va_start(ap, request);
	r = va_arg(ap, struct user_reg *);
	va_end(ap);
	if (r->size != sizeof(*r) || r->enable_size != 4 || r->enable_bit) {
		errno = EINVAL;
		return -1;
	}
	sscanf((const char *)r->name_args, "%511[^ ]", name);
	if (strcmp(name, "ue_twice") == 0 && !r->flags) {
		if (first[0] && strcmp(first, (const char *)r->name_args)) {
			errno = EADDRINUSE;
			return -1;
		}
		strcpy(first, (const char *)r->name_args);
	}
	r->write_index = ++n;
	log = fopen(getenv("FAKE_LOG"), "a");
	fprintf(log, "%u %u %s\n", n, r->flags, (const char *)r->name_args);
	fclose(log);
	if (!strstr(name, "unwanted"))
		*(uint32_t *)r->enable_addr |= 1;
	return 0;
}
"""
PROGRAM = r"""
#include <cairn/trace.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
enum color { RED = 1, BLUE = -2 };
int main(int argc, char **argv)
{
	uint8_t a = 200;
	int16_t b = -3;
	uint64_t c = 1ull << 40;
	double d = 1.5;
	enum color e = BLUE;
	int list[3] = {7, 8, 9};
	const uint32_t numbers[2] = {10, 11};
	static char big[5000];
	if (argc > 1) /* closes all that it did not open, and opens a file of its own there */
		for (int fd = 3; fd < 1024; fd++)
			if (close(fd) == 0)
				dup2(1, fd);
	CAIRN(ue, empty);
	CAIRN(ue, numbers, a, b, c, d, (flag, (_Bool)(argc == 1)), (letter, (char)'x'), list, CAIRN_ENUM(e, e, RED, BLUE),
		CAIRN_HEX(p, (void *)0x1234));
	CAIRN(ue, texts, (first, "ab"), a, CAIRN_SEQ(n, numbers, 2), (last, (const char *)0),
		CAIRN_BYTES(raw, "\1\2\3", 3), b);
	CAIRN(ue, unwanted, a);
	CAIRN_LOG(ue, CAIRN_INFO, "hello %s", "you");
	memset(big, 'z', sizeof(big) - 1);
	CAIRN(ue, texts, (first, (const char *)big), a, CAIRN_SEQ(n, numbers, 0), (last, ""),
		CAIRN_BYTES(raw, "", 0), b);
	CAIRN(ue, twice, a);
	CAIRN(ue, twice, b);
	return 0;
}
"""


def run(t, *args):
    if platform.machine() != "x86_64":
        raise Skip("the numbers of the test are of x86-64")
    fake = t.compile("fake.so", KERNEL, ["-shared", "-fPIC", "-Wno-format-truncation"])
    prog = t.compile("prog", PROGRAM)
    open(t.path("data"), "w").close()
    r = t.run([prog, *args], env={"CAIRN_RT": LIBRARY, "LD_PRELOAD": fake, "FAKE_DATA": t.path("data"),
                                  "FAKE_LOG": t.path("log")})
    events = {}
    for line in open(t.path("log")).read().splitlines():
        index, flags, text = line.split(" ", 2)
        events.setdefault(text.split(" ")[0], []).append((int(index), int(flags), text))
    return r, events, open(t.path("data"), "rb").read()


@test
def words_and_records(t):
    _, events, data = run(t)
    text = {name: got[0][2] for name, got in events.items()}
    assert text["ue_empty"] == "ue_empty"
    assert text["ue_numbers"] == "ue_numbers u8 a; s16 b; u64 c; u64 d; u8 flag; char letter; " \
        "struct array list 12; s32 e; u64 p", text
    assert text["ue_texts"] == "ue_texts __rel_loc char[] first; u8 a; __rel_loc u32[] n; " \
        "__rel_loc char[] last; __rel_loc u8[] raw; s16 b", text
    log = next(n for n in text if n.startswith("ue_prog_c_"))
    index = {name: got[0][0] for name, got in events.items()}
    want = struct.pack("<I", index["ue_empty"])
    want += struct.pack("<IBhQdBc3iiQ", index["ue_numbers"], 200, -3, 1 << 40, 1.5, 1, b"x", 7, 8, 9, -2,
                        0x1234)
    # each: size << 16 | distance from behind the word itself
    fixed = 4 + 1 + 4 + 4 + 4 + 2
    want += struct.pack("<IIBIIIh", index["ue_texts"], 3 << 16 | fixed - 4, 200,
                        8 << 16 | fixed + 3 - 9, 7 << 16 | fixed + 11 - 13, 3 << 16 | fixed + 18 - 17, -3)
    want += b"ab\0" + struct.pack("<II", 10, 11) + b"(null)\0" + b"\1\2\3"
    at = data.find(want)
    assert at == 0, (data[:200], want)
    rest = data[len(want):]
    assert rest.startswith(struct.pack("<I", index[log])) and rest.find(b"you\0") > 0, rest
    # a payload over 1 KiB is left out, and what nobody records
    assert b"zzz" not in rest
    assert index["ue_unwanted"] not in [struct.unpack("<I", rest[i:i + 4])[0] for i in range(len(rest) - 3)
                                        if rest[i + 4:i + 5] == bytes([200])], rest
    # of one name with other fields: again, as one of several formats
    assert [flags for _, flags, _ in events["ue_twice"]] == [0, 2], events["ue_twice"]
    (one, _, _), (two, _, _) = events["ue_twice"]
    assert rest.endswith(struct.pack("<IBIh", one, 200, two, -3)), rest


@test
def other_files_are_not_written_to(t):
    r, events, data = run(t, "close")
    assert events and not data and not r.out, (r, data)


@test
def without_the_kernel_the_program_runs(t):
    prog = t.compile("prog", PROGRAM)
    r = t.run([prog], env={"CAIRN_RT": LIBRARY})
    assert not r.out and not r.err, r
    if os.path.exists("/sys/kernel/tracing/user_events_data"):
        raise Skip("this kernel has user events")
    r = t.run([CAIRN, "user-events", "--", "true"], status=1)
    assert "this kernel has no user events" in r.err or "user_events_data" in r.err, r
    r = t.run([CAIRN, "user-events"], status=2)
    assert "a command is missing" in r.err, r


main()
