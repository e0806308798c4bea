#!/usr/bin/env python3
"""gen.py OUTDIR: writes small CTF 1.8 traces that use the corners of the format.

Each is a directory with metadata and streams. They are made bit by bit from the specification, not
by any library, so that they can tell when the reader (or babeltrace2) is wrong.
"""
import os
import struct
import sys

import gen_ctf2


class Bits:
    """A packet: bits appended in the byte order of the trace."""

    def __init__(self, be):
        self.be, self.bits = be, []  # bit i is bit i%8 of byte i//8 (le), or from the top (be)

    def align(self, n):
        while len(self.bits) % n:
            self.bits.append(0)

    def int(self, v, size, align=None, be=None):
        be = self.be if be is None else be
        self.align(align or (8 if size % 8 == 0 else 1))
        v &= (1 << size) - 1
        if be == self.be:
            order = range(size - 1, -1, -1) if be else range(size)
            self.bits += [v >> i & 1 for i in order]
        else:  # whole bytes in the other order
            data = v.to_bytes(size // 8, 'big' if be else 'little')
            for b in data:
                self.int(b, 8)

    def f32(self, v):
        self.int(struct.unpack('<I', struct.pack('<f', v))[0], 32)

    def f64(self, v, align=8):
        self.int(struct.unpack('<Q', struct.pack('<d', v))[0], 64, align)

    def str(self, s):
        for b in s.encode() + b'\0':
            self.int(b, 8)

    def bytes(self):
        self.align(8)
        out = bytearray()
        for i in range(0, len(self.bits), 8):
            b = self.bits[i:i + 8]
            if not self.be:
                b = b[::-1]
            out.append(int(''.join(map(str, b)), 2))
        return bytes(out)


UUID = bytes(range(0x10, 0x20))
UUID_TEXT = '10111213-1415-1617-1819-1a1b1c1d1e1f'


def packet(be, body, begin, end, stream=0, discarded=0, seq=0, cpu=0, pad=0, instance=None):
    """A packet with the usual head. body(bits) appends the events."""
    def make(content, size):
        p = Bits(be)
        p.int(0xc1fc1fc1, 32)
        for b in UUID:
            p.int(b, 8)
        p.int(stream, 32)
        if instance is not None:
            p.int(instance, 64)
        for v in (begin, end, content, size, discarded, seq):
            p.int(v, 64)
        p.int(cpu, 32)
        body(p)
        return p
    n = len(make(0, 0).bits)
    size = (n + 7) // 8 * 8 + pad * 8
    return make(n, size).bytes() + b'\xa5' * pad


def head(order, instance=False, freq=1000000000, extra_env=''):
    return f'''/* CTF 1.8 */
typealias integer {{ size = 8; align = 8; signed = false; }} := uint8_t;
typealias integer {{ size = 16; align = 8; signed = false; }} := uint16_t;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
typealias integer {{ size = 32; align = 8; signed = true; }} := int;
typealias integer {{ size = 5; align = 1; signed = false; }} := uint5_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := unsigned long;
trace {{
	major = 1; minor = 8;
	uuid = "{UUID_TEXT}";
	byte_order = {order};
	packet.header := struct {{
		uint32_t magic; uint8_t uuid[16]; uint32_t stream_id;
		{'uint64_t stream_instance_id;' if instance else ''}
	}};
}};
env {{ hostname = "here"; width = 3; {extra_env} }};
clock {{
	name = "ticks"; uuid = "{UUID_TEXT}"; description = "a \\"clock\\"";
	freq = {freq}; offset_s = 1700000000; offset = 500; absolute = TRUE;
}};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.ticks.value; }} := ts_t;
struct packet_context {{
	ts_t timestamp_begin; ts_t timestamp_end;
	uint64_t content_size; uint64_t packet_size;
	uint64_t events_discarded; uint64_t packet_seq_num; uint32_t cpu_id;
}};
'''


COMPACT = '''
struct event_header {
	enum : uint5_t { compact = 0 ... 30, extended = 31 } id;
	variant <id> {
		struct {
			integer { size = 27; align = 1; signed = false; map = clock.ticks.value; }
				timestamp;
		} compact;
		struct { uint32_t id; ts_t timestamp; } extended;
	} v;
} align(8);
'''


def compact(p, eid, ts, extended=False):
    p.align(8)
    if extended:
        p.int(31, 5)
        p.int(eid, 32)
        p.int(ts, 64)
    else:
        p.int(eid, 5)
        p.int(ts, 27)


def write(out, name, meta, streams, packetized=None):
    d = os.path.join(out, name)
    os.makedirs(d, exist_ok=True)
    data = meta.encode()
    if packetized:
        order, data = packetized, b''
        text = meta.encode()
        for i in range(0, len(text), 1000):
            part = text[i:i + 1000]
            size = 37 + len(part) + 11
            data += struct.pack(order + 'I', 0x75d11d57) + UUID + struct.pack(
                order + 'IIIBBBBB', 0, (37 + len(part)) * 8, size * 8, 0, 0, 0, 1, 8)
            data += part + b'\0' * 11
    with open(os.path.join(d, 'metadata'), 'wb') as f:
        f.write(data)
    for file, content in streams.items():
        with open(os.path.join(d, file), 'wb') as f:
            f.write(content)


def types(out, be):
    """Every kind of type, in one byte order."""
    order = 'be' if be else 'le'
    meta = head(order) + COMPACT + '''
typedef uint16_t pair_t[2];
enum colour : uint8_t { RED, GREEN = 5, "deep blue" = 7 ... 9, AFTER };
typealias enum : integer { size = 8; align = 8; signed = true; } { minus = -3 ... -1, zero } :=
	sign_t;
variant number { uint8_t small; uint64_t large; struct { uint16_t a; string b; } both; };
typealias struct { uint8_t p[2]; } := struct page *;
stream {
	id = 0;
	packet.context := struct packet_context;
	event.header := struct event_header;
	event.context := struct { int _tid; uint8_t _len; };
};
event {
	name = "t:scalars"; id = 0; stream_id = 0; loglevel = 3;
	fields := struct {
		uint8_t _u8; integer { size = 64; align = 8; signed = true; } _s64;
		integer { size = 32; align = 8; base = hex; } _hex;
		integer { size = 16; align = 8; base = 8; } _oct;
		integer { size = 8; align = 8; base = b; } _bin;
		integer { size = 32; align = 8; byte_order = network; } _net;
		floating_point { exp_dig = 8; mant_dig = 24; align = 8; } _f;
		floating_point { exp_dig = 11; mant_dig = 53; align = 8; } _d;
		string _s; enum colour _c; sign_t _sign;
		integer { size = 8; align = 8; signed = false; encoding = UTF8; } _text[8];
	};
};
event {
	name = "t:compound"; id = 1; stream_id = 0; model.emf.uri = "http://here/%22";
	context := struct { uint8_t _more; };
	fields := struct {
		pair_t _pairs[2];
		uint8_t _n; uint16_t _seq[_n]; string _names[ _n ];
		struct { uint8_t _k; struct { uint8_t _x; string _y; } _in[_k]; } _nest;
		struct page * _page;
	};
};
event {
	name = "t:variants"; id = 2; stream_id = 0;
	fields := struct {
		enum : uint8_t { small = 0, large = 1, both = 2 ... 200 } _tag;
		variant number <_tag> _v;
		variant <_tag> { uint8_t small; string large; uint16_t both; } _w[2];
	};
};
event {
	name = "t:empty"; id = 40; stream_id = 0;
	fields := struct { };
};
'''

    def ctx(p, tid, n):
        p.int(tid, 32)
        p.int(n, 8)

    def scalars(p, ts):
        compact(p, 0, ts)
        ctx(p, -7, 0)
        p.int(255, 8)
        p.int(-(1 << 63), 64)
        p.int(0xdeadbeef, 32)
        p.int(0o1234, 16)
        p.int(0b1011, 8)
        p.int(0x01020304, 32, be=True)
        p.f32(1.5)
        p.f64(-2.25e10)
        p.str('h\u00e9 "quoted"\t\\')
        p.int(8, 8)
        p.int(-2, 8)
        for b in b'abc\0defg':
            p.int(b, 8)

    def compound(p, ts):
        compact(p, 1, ts)
        ctx(p, 42, 2)
        p.int(1, 8)
        for v in (1, 2, 3, 4):
            p.int(v, 16)
        p.int(3, 8)
        for v in (10, 20, 30):
            p.int(v, 16)
        for s in ('a', '', 'ccc'):
            p.str(s)
        p.int(2, 8)
        for x, y in ((1, 'one'), (2, 'two')):
            p.int(x, 8)
            p.str(y)
        p.int(1, 8)
        p.int(2, 8)

    def variants(p, ts, tag, ext):
        compact(p, 2, ts, ext)
        ctx(p, 1, 0)
        p.int(tag, 8)
        if tag == 0:
            p.int(9, 8)
            p.int(1, 8)
            p.int(2, 8)
        elif tag == 1:
            p.int(1 << 40, 64)
            p.str('x')
            p.str('yy')
        else:
            p.int(77, 16)
            p.str('both')
            p.int(3, 16)
            p.int(4, 16)

    def first(p):
        scalars(p, 1000)
        compound(p, 1001)
        variants(p, 2000, 0, False)
        variants(p, 2001, 1, True)
        variants(p, 2002, 99, False)
        compact(p, 40, 2003, True)
        ctx(p, 5, 0)

    def second(p):
        scalars(p, (1 << 27) - 5)
        scalars(p, 3)  # the 27 bits have wrapped
        compound(p, 4)
    data = packet(be, first, 1000, 3000, pad=13) + packet(
        be, second, 3000, (1 << 27) + 10, discarded=4, seq=2)
    write(out, 'types-' + order, meta, {'stream': data})
    write(out, 'packetized-' + order, meta, {'stream': data}, packetized='>' if be else '<')


def packed(out, be):
    """Integers of odd sizes that cross bytes, and alignments up to 64 bits."""
    order = 'be' if be else 'le'
    sizes = [1, 3, 7, 13, 17, 31, 33, 47, 63, 64, 5]
    fields = ''.join(
        f'integer {{ size = {s}; align = 1; signed = {"true" if i % 2 else "false"}; }} _i{i};\n'
        for i, s in enumerate(sizes))
    meta = head(order, freq=1000000) + f'''
stream {{
	packet.context := struct packet_context;
	event.header := struct {{
		integer {{ size = 3; align = 1; }} id;
		integer {{ size = 21; align = 1; map = clock.ticks.value; }} timestamp;
	}};
}};
event {{ name = "bits"; id = 1; fields := struct {{ {fields} }}; }};
event {{
	name = "aligned"; id = 2;
	fields := struct {{
		integer {{ size = 3; align = 1; }} _a;
		integer {{ size = 16; align = 16; }} _b;
		integer {{ size = 1; align = 1; }} _c;
		struct {{ integer {{ size = 7; align = 1; }} _d; }} align(64) _e;
		floating_point {{ exp_dig = 11; mant_dig = 53; align = 64; }} _f;
		integer {{ size = 2; align = 1; }} _n;
		integer {{ size = 9; align = 1; signed = true; }} _s[_n];
		integer {{ size = 4; align = 4; }} _nib[3];
	}};
}};
'''

    def one(k):
        def f(p):
            p.int(1, 3)
            p.int(100 + 2 * k, 21)
            for i, s in enumerate(sizes):
                p.int((0x123456789abcdef0 >> k) * (i + 1), s, 1)
            p.int(2, 3)
            p.int(101 + 2 * k, 21)
            p.int(k, 3)
            p.int(0x1234 + k, 16, 16)
            p.int(1, 1)
            p.align(64)
            p.int(k * 3, 7)
            p.f64(k / 8, 64)
            p.int(k % 4, 2)
            for j in range(k % 4):
                p.int(-j - 1, 9, 1)
            for j in range(3):
                p.int(j + k, 4, 4)
        return f
    write(out, 'packed-' + order, meta, {
        'stream': b''.join(packet(be, one(k), 100 + 2 * k, 102 + 2 * k, seq=k) for k in range(6))})


def paths(out):
    """Lengths and tags in other scopes. babeltrace2 2.0.4 does not parse these: see paths.txt."""
    meta = head('le') + COMPACT + '''
stream {
	id = 0;
	packet.context := struct packet_context;
	event.header := struct event_header;
	event.context := struct { uint8_t _len; };
};
event {
	name = "paths"; id = 1; stream_id = 0;
	context := struct { uint8_t _more; };
	fields := struct {
		uint8_t _outer[stream.event.context._len];
		uint8_t _own[event.context._more];
		uint8_t _cpu[stream.packet.context.cpu_id];
		uint8_t _env[env.width];
		struct { uint8_t _n; } _in;
		uint8_t _deep[event.fields._in._n];
		uint8_t _rel[_in._n];
		variant <stream.event.header.id> { uint8_t compact; uint32_t extended; } _h;
	};
};
'''

    def body(p):
        for ts, ext in ((1000, False), (1001, True)):
            compact(p, 1, ts, ext)
            for v in (2, 1, 7, 8, 9, 10, 11, 12, 13, 14, 2, 15, 16, 17, 18):
                p.int(v, 8)
            p.int(99, 32 if ext else 8)
    write(out, 'paths', meta, {'stream': packet(False, body, 1000, 1001, cpu=2)})


def plain(out):
    """No event header, no packet sizes, no clock: a whole file is one packet of one event class."""
    meta = '''/* CTF 1.8 */
typealias integer { size = 16; align = 8; signed = true; } := short;
trace { major = 1; minor = 8; byte_order = le; };
stream { };
event { name = "only"; fields := struct { short x; string y; }; };
'''
    data = b''.join(struct.pack('<h', i) + b"n%d isn't?\0" % i for i in range(-2, 3))
    write(out, 'plain', meta, {'a': data})


def barectf(out):
    """Natural alignments as barectf has them, two streams with several files."""
    meta = head('le', instance=True) + '''
typealias integer { size = 16; align = 16; } := u16;
typealias integer { size = 32; align = 32; map = clock.ticks.value; } := ts32;
stream {
	id = 3;
	packet.context := struct packet_context;
	event.header := struct { u16 id; ts32 timestamp; };
	event.context := struct { integer { size = 32; align = 32; signed = true; } vpid; string procname; };
};
stream {
	id = 4;
	packet.context := struct packet_context;
	event.header := struct { ts32 timestamp; };
};
event {
	name = "a"; id = 65535; stream_id = 3;
	fields := struct {
		integer { size = 64; align = 64; } x;
		integer { size = 8; align = 8; } n;
		integer { size = 32; align = 32; } seq[n];
	};
};
event { name = "b"; id = 0; stream_id = 4; fields := struct { uint8_t z; }; };
'''

    def a(base):
        def f(p):
            for i in range(5):
                p.int(65535, 16, 16)
                p.int(base + 10 * i, 32, 32)
                p.align(32)
                p.int(1000 + i, 32, 32)
                p.str('p' * (i + 1))
                p.align(64)
                p.int(i << 40, 64, 64)
                p.int(i, 8)
                p.align(32)
                for j in range(i):
                    p.int(j, 32, 32)
        return f

    def b(base):
        def f(p):
            for i in range(5):
                p.align(32)
                p.int(base + 7 * i, 32, 32)
                p.int(i, 8)
        return f
    write(out, 'barectf', meta, {
        'a_1': packet(False, a(1000), 1000, 1100, 3, instance=0, seq=0, cpu=0) +
               packet(False, a(1100), 1100, 1200, 3, instance=0, seq=1, cpu=0),
        'a_0': packet(False, a(1200), 1200, 1300, 3, instance=0, seq=2, discarded=7, cpu=0),
        'b_0': packet(False, b(1003), 1000, 1250, 4, instance=1, cpu=1),
    })


def main():
    out = sys.argv[1]
    for be in (False, True):
        types(out, be)
        packed(out, be)
    plain(out)
    paths(out)
    barectf(out)
    gen_ctf2.ctf2(out, Bits, write)


main()
