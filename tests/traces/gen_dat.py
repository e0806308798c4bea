#!/usr/bin/env python3
"""gen_dat.py FOLDER: writes trace.dat files of kinds that this machine's trace-cmd does not record: other
endianness and size of long, zlib, clocks that are converted, lost events, every kind of record, damage.
FOLDER/NAME.dat each. `gen_dat.py --list` names them."""
import struct
import sys
import zlib

COMMON = '''format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

'''


def formats(long_size):
    """[(system, text)]"""
    size = long_size
    switch = 36 if size == 4 else 40
    return [
        ('ftrace', f'''name: print
ID: 5
{COMMON}	field:unsigned long ip;	offset:8;	size:{size};	signed:0;
	field:char buf[];	offset:{8 + size};	size:0;	signed:0;

print fmt: "%ps: %s", (void *)REC->ip, REC->buf
'''),
        ('ftrace', f'''name: funcgraph_entry
ID: 11
{COMMON}	field:unsigned long func;	offset:8;	size:{size};	signed:0;
	field:int depth;	offset:{8 + size};	size:4;	signed:1;

print fmt: "--> %ps (%d)", (void *)REC->func, REC->depth
'''),
        ('ftrace', f'''name: funcgraph_exit
ID: 10
{COMMON}	field:unsigned long func;	offset:8;	size:{size};	signed:0;
	field:unsigned long long calltime;	offset:{8 + size};	size:8;	signed:0;
	field:unsigned long long rettime;	offset:{16 + size};	size:8;	signed:0;
	field:unsigned int overrun;	offset:{24 + size};	size:4;	signed:0;
	field:int depth;	offset:{28 + size};	size:4;	signed:1;

print fmt: "<-- %ps (%d) (start: %llx  end: %llx) over: %d", (void *)REC->func, REC->depth, REC->calltime, REC->rettime, REC->depth
'''),
        ('sched', f'''name: sched_switch
ID: 300
{COMMON}	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:int prev_prio;	offset:28;	size:4;	signed:1;
	field:long prev_state;	offset:32;	size:{size};	signed:1;
	field:char next_comm[16];	offset:{switch};	size:16;	signed:0;
	field:pid_t next_pid;	offset:{switch + 16};	size:4;	signed:1;
	field:int next_prio;	offset:{switch + 20};	size:4;	signed:1;

print fmt: "prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s ==> next_comm=%s next_pid=%d next_prio=%d", REC->prev_comm, REC->prev_pid, REC->prev_prio, __print_flags(REC->prev_state, "|", {{ 1, "S" }}, {{ 2, "D" }}), REC->next_comm, REC->next_pid, REC->next_prio
'''),
        ('made', f'''name: kinds
ID: 301
{COMMON}	field:u8 tiny;	offset:8;	size:1;	signed:0;
	field:s16 half;	offset:10;	size:2;	signed:1;
	field:int word;	offset:12;	size:4;	signed:1;
	field:s64 wide;	offset:16;	size:8;	signed:1;
	field:u16 list[4];	offset:24;	size:8;	signed:0;
	field:__data_loc char[] name;	offset:32;	size:4;	signed:0;
	field:__rel_loc u8[] data;	offset:36;	size:4;	signed:0;

print fmt: "tiny=%u half=%d word=%d wide=%lld list=%x,%x name=%s flags=%s sym=%s data=%s", REC->tiny, REC->half, REC->word, REC->wide, REC->list[0], REC->list[3], __get_str(name), __print_flags(REC->tiny, "|", {{ 1, "ONE" }}, {{ 4, "FOUR" }}), __print_symbolic(REC->half, {{ 7, "seven" }}, {{ 8, "eight" }}), __print_hex(REC->list, 4)
'''),
    ]


HEADER_EVENT = '''# compressed entry header
	type_len    :    5 bits
	time_delta  :   27 bits
	array       :   32 bits

	padding     : type == 29
	time_extend : type == 30
	time_stamp : type == 31
	data max type_len  == 28
'''


class Kind:
    """Endianness, size of long and of pages."""

    def __init__(self, big=False, long_size=8, page=4096):
        self.big, self.long_size, self.page = big, long_size, page
        self.order = '>' if big else '<'

    def pack(self, code, *values):
        return struct.pack(self.order + code, *values)

    def long(self, value):
        return self.pack('Q' if self.long_size == 8 else 'I', value)

    def header_page(self):
        data = 8 + self.long_size
        return (f'''	field: u64 timestamp;	offset:0;	size:8;	signed:0;
	field: local_t commit;	offset:8;	size:{self.long_size};	signed:1;
	field: int overwrite;	offset:8;	size:1;	signed:1;
	field: char data;	offset:{data};	size:{self.page - data};	signed:1;
''')

    # ---- records ----

    def head(self, type_len, delta):
        return self.pack('I', (type_len << 27 | delta) if self.big else (type_len | delta << 5))

    def event(self, delta, payload):
        payload += b'\0' * (-len(payload) % 4)
        if len(payload) <= 28 * 4:
            return self.head(len(payload) // 4, delta) + payload
        return self.head(0, delta) + self.pack('I', len(payload) + 4) + payload

    def extend(self, delta):
        return self.head(30, delta & (1 << 27) - 1) + self.pack('I', delta >> 27)

    def stamp(self, time):
        return self.head(31, time & (1 << 27) - 1) + self.pack('I', time >> 27 & 0xffffffff)

    def discarded(self, delta, size):
        return self.head(29, delta) + self.pack('I', size) + b'\0' * (size - 4)

    def page_of(self, time, records, lost=None):
        """lost: None, 0 (not known how many) or a number"""
        data = b''.join(records)
        commit = len(data)
        if lost is not None:
            commit |= 1 << 31 | (1 << 30 if lost else 0)
        page = self.pack('Q', time) + self.long(commit) + data + (self.long(lost) if lost else b'')
        assert len(page) <= self.page
        return page + b'\0' * (self.page - len(page))

    # ---- payloads ----

    def common(self, ident, pid):
        return self.pack('HBBi', ident, 1, 2, pid)

    def switch(self, pid, comm, state, to, to_comm):
        return (self.common(300, pid) + comm.ljust(16, b'\0') + self.pack('ii', pid, 120) +
                self.long(state) + to_comm.ljust(16, b'\0') +
                self.pack('ii', to, 110))

    def kinds(self, pid, tiny, half, word, wide, name, data):
        name += b'\0'
        fixed = (self.common(301, pid) + self.pack('BxhiqHHHH', tiny, half, word, wide, 1, 2, 3, 0xabc) +
                 self.pack('I', len(name) << 16 | 40) + self.pack('I', len(data) << 16 | len(name)))
        return fixed + name + data

    def enter(self, pid, func, depth):
        return self.common(11, pid) + self.long(func) + self.pack('i', depth)

    def leave(self, pid, func, depth, duration):
        return self.common(10, pid) + self.long(func) + self.pack('QQIi', 5000, 5000 + duration, 0, depth)

    def mark(self, pid, ip, text):
        return self.common(5, pid) + self.long(ip) + text + b'\0'


def pages_of(kind, shift=0, name=b'caf\xc3\xa9'):
    """{cpu: [page]}: every kind of record."""
    k, t = kind, 1_000_000_000_000 + shift
    return {
        0: [
            k.page_of(t, [
                k.event(0, k.switch(11, b'first', 1, 12, b'second')),
                k.event(1500, k.kinds(12, 5, -7, -1, -1234567890123, b'a name', b'\1\2\xff')),
                k.discarded(100, 24),
                k.event(200, k.kinds(12, 0, 7, 2147483647, 1 << 62, b'', b'')),
                k.extend(5_000_000_000),
                k.event(3, k.mark(12, 0xc0001010, b'a mark\n')),
                k.event(7, k.mark(12, 0xc0002000, b'long ' * 60)),
            ]),
            k.page_of(t + 6_000_000_000, [k.event(0, k.switch(12, b'second', 0, 0, b'swapper/0'))], lost=17),
            k.page_of(t + 7_000_000_000, [
                k.event(5, k.kinds(0, 255, 8, 0, 0, name, b'\0')),
                k.stamp(t + 7_000_001_000 & (1 << 59) - 1),
                k.event(2, k.kinds(0, 0, 9, 0, 0, b'stamped', b'\0')),
            ], lost=0),
        ],
        1: [
            k.page_of(t + 100, [
                k.event(i * 3, k.kinds(1000 + i % 3, i & 7, i - 3, i * 1000, -i, b'n%d' % i, b'x' * (i % 5)))
                for i in range(5 if k.page < 4096 else 20)]),
            k.page_of(t + 9_000_000_000, []),
            k.page_of(t + 9_000_000_000, [k.event(9, k.switch(0, b'swapper/1', 2, 11, b'first'))]),
        ],
    }


def graph_of(kind):
    """{cpu: [page]}: a function graph on two CPUs, with calls that call nothing, cut ones and long ones."""
    k, t = kind, 1_000_000_000_000
    a, b, c = 0xc0001010, 0xc0001800, 0xc0002004
    one = [k.enter(11, a, 0), k.enter(11, b, 1), k.leave(11, b, 1, 999), k.enter(11, c, 1), k.enter(11, b, 2),
           k.leave(11, b, 2, 12345), k.leave(11, c, 1, 234567), k.enter(11, 0xd0000000, 1),
           k.leave(11, 0xd0000000, 1, 1_234_567), k.leave(11, a, 0, 2_345_678_901), k.enter(11, c, 0)]
    two = [k.leave(1001, a, 3, 17), k.enter(1001, b, 2), k.leave(1001, c, 2, 123_456_789),
           k.switch(1001, b'worker/1:1', 0, 0, b'swapper/1'), k.enter(1001, b, 0), k.leave(12, b, 0, 5)]
    return {0: [k.page_of(t, [k.event(1000, e) for e in one])],
            1: [k.page_of(t + 4500, [k.event(7, e) for e in two])]}


CMDLINES = b'11 first\n1001 worker/1:1\n'
KALLSYMS = b'c0001000 T do_mark\nc0001800 t other\t[module]\nc0002000 T later\nc0003000 T end\n'


def meta(kind):
    """The parts that both versions have: [(section, bytes)]"""
    def text(s):
        return kind.pack('Q', len(s)) + s
    header = b'header_page\0' + text(kind.header_page().encode()) + b'header_event\0' + text(HEADER_EVENT.encode())
    all_formats = [(s, f.encode()) for s, f in formats(kind.long_size)]
    ftrace = [f for s, f in all_formats if s == 'ftrace']
    others = sorted({s for s, f in all_formats if s != 'ftrace'})
    events = kind.pack('I', len(others))
    for system in others:
        mine = [f for s, f in all_formats if s == system]
        events += system.encode() + b'\0' + kind.pack('I', len(mine)) + b''.join(text(f) for f in mine)
    return [(16, header), (17, kind.pack('I', len(ftrace)) + b''.join(text(f) for f in ftrace)), (18, events),
            (19, kind.pack('I', len(KALLSYMS)) + KALLSYMS), (20, kind.pack('I', 0)), (21, text(CMDLINES))]


def magic(kind, version):
    return (b'\x17\x08\x44tracing' + version + b'\0' + bytes([int(kind.big), kind.long_size]) +
            kind.pack('I', kind.page))


def options_of(kind, options):
    return b''.join(kind.pack('HI', ident, len(data)) + data for ident, data in options)


def version6(kind, pages, options=(), clock='local', instance=None, latency=None):
    out = bytearray(magic(kind, b'6') + b''.join(body for ident, body in meta(kind)) + kind.pack('I', len(pages)))
    cpus = sorted(pages)
    text = ' '.join('[%s]' % c if c == clock else c for c in ('local', 'global', 'x86-tsc')).encode() + b'\0'

    def data(at, what):
        """The list of offsets at `at`, data from the next page on."""
        where = -(-(at + 16 * len(cpus) + 8 + len(text)) // kind.page) * kind.page
        table, body = b'', b''
        for c in cpus:
            table += kind.pack('QQ', where + len(body), sum(map(len, what[c])))
            body += b''.join(what[c])
        front = table + kind.pack('Q', len(text)) + text
        return front + b'\0' * (where - at - len(front)) + body

    if latency is not None:
        return bytes(out) + b'options  \0' + options_of(kind, options) + kind.pack('H', 0) + b'latency  \0' + latency
    mine = list(options) + [(4, b'')]
    size = 10 + len(options_of(kind, mine)) + 2 + (6 + 8 + 9 if instance else 0) + 10
    first = data(len(out) + size, pages)
    if instance:
        mine.append((3, kind.pack('Q', len(out) + size + len(first)) + b'instance\0'))
    out += b'options  \0' + options_of(kind, mine) + kind.pack('H', 0) + b'flyrecord\0' + first
    if instance:
        out += b'flyrecord\0' + data(len(out) + 10, instance)
    return bytes(out)


def version7(kind, pages, compression='none', options=(), clock='local', page_size=True, instance=None,
             latency=None):
    def pack(data):
        return kind.pack('II', len(zlib.compress(data)), len(data)) + zlib.compress(data)

    def section(ident, body, packed):
        flags = 1 if packed and compression == 'zlib' else 0
        body = pack(body) if flags else body
        return kind.pack('HHIQ', ident, flags, 0, len(body)) + body

    out = bytearray(magic(kind, b'7') + compression.encode() + b'\x001.0\0')
    first = len(out)
    out += b'\0' * 8
    mine = list(options)
    for ident, body in meta(kind):
        mine.append((ident, kind.pack('Q', len(out))))
        out += section(ident, body, ident != 18)  # one is left as it is
    link = len(out)
    out += section(0, options_of(kind, mine) + kind.pack('HIQ', 0, 8, 0), False)
    buffers = []
    if latency is not None:
        body = kind.pack('I', 1) + pack(latency) if compression == 'zlib' else latency
        buffers.append((22, kind.pack('Q', len(out)) + b'\0' + clock.encode() + b'\0'))
        out += kind.pack('HHIQ', 22, 1 if compression == 'zlib' else 0, 0, len(body)) + body
    for name, what in ([(b'', pages), (b'instance', instance)] if latency is None else []):
        if what is None:
            continue
        at = len(out)
        entry = kind.pack('Q', at) + name + b'\0' + clock.encode() + b'\0'
        entry += (kind.pack('I', kind.page) if page_size else b'') + kind.pack('I', len(what))
        body = bytearray(b'\0' * (-(at + 16) % kind.page))
        for c in sorted(what):
            where = at + 16 + len(body)
            data = b''.join(what[c])
            if compression == 'zlib':
                chunks = [data[i:i + 2 * kind.page] for i in range(0, len(data), 2 * kind.page)]
                data = kind.pack('I', len(chunks)) + b''.join(pack(x) for x in chunks)
                entry += kind.pack('IQQ', c, where, len(data) - 4)
                data += b'\0' * (-len(data) % kind.page)
            else:
                entry += kind.pack('IQQ', c, where, len(data))
            body += data
        out += kind.pack('HHIQ', 3, 1 if compression == 'zlib' else 0, 0, len(body)) + body
        buffers.append((3, entry))
    last = section(0, options_of(kind, buffers) + kind.pack('HIQ', 0, 8, 0), False)
    # the first options end with the place of the second
    struct.pack_into(kind.order + 'Q', out, first, link)
    end = link + 16 + len(options_of(kind, mine)) + 6
    struct.pack_into(kind.order + 'Q', out, end, len(out))
    return bytes(out) + last


def shift_option(kind):
    """Two samples for CPU 0, one for CPU 1."""
    return (12, kind.pack('QII', 77, 1, 2) +
            kind.pack('I', 2) + kind.pack('QQ', 10**12, 10**12 + 10**10) + kind.pack('qq', 1000, -4000) +
            kind.pack('QQ', 1, 1) + kind.pack('I', 1) + kind.pack('Q', 10**12) + kind.pack('q', 500) +
            kind.pack('Q', 1) + kind.pack('QQQ', 0, 0, 0))


LATENCY = b'# tracer: wakeup\n#\n  <idle>-0  1dNh5  1us+: 0:120:R + [001] 22:120:R kworker/1:1\n'


def files():
    little, big, big32 = Kind(), Kind(big=True), Kind(big=True, long_size=4)
    pages = pages_of(little)
    damaged = {0: [pages[0][0][:100] + b'\xff' * 40 + pages[0][0][140:], b'\xff' * 8192, pages[0][1]],
               1: pages[1]}
    whole = version7(little, pages)
    return {
        'made-v6': version6(little, pages),
        'made-v6-be': version6(big, pages_of(big)),
        'made-v6-be32': version6(big32, pages_of(big32)),
        'made-v6-le32': version6(Kind(long_size=4), pages_of(Kind(long_size=4))),
        'made-v6-instance': version6(little, pages, instance=pages_of(little, 50)),
        'made-v6-latency': version6(little, pages, latency=LATENCY),
        'made-v7': whole,
        'made-v7-be': version7(big, pages_of(big)),
        'made-v7-zlib': version7(little, pages, 'zlib'),
        'made-v7-be32-zlib': version7(big32, pages_of(big32), 'zlib'),
        'made-v7-instance': version7(little, pages, instance=pages_of(little, 50)),
        'made-v7-no-page-size': version7(little, pages, page_size=False),
        'made-v7-latency': version7(little, pages, latency=LATENCY),
        'made-v7-latency-zlib': version7(little, pages, 'zlib', latency=LATENCY),
        'made-v7-offset': version7(little, pages, options=[(7, b'-5000000\0'), (1, b'0x3e8\0')]),
        'made-v7-graph': version7(little, graph_of(little)),
        'made-v6-graph-be32': version6(big32, graph_of(big32)),
        'made-v7-tsc': version7(little, pages, clock='x86-tsc', options=[(4, b'local [x86-tsc]\0')]),
        'made-v7-tsc-option': version7(little, pages, options=[(4, b'local [x86-tsc]\0')]),
        'made-v7-local-option': version7(little, pages, clock='x86-tsc', options=[(4, b'[local] x86-tsc\0')]),
        'made-v7-tsc2nsec': version7(little, pages, clock='tsc2nsec',
                                     options=[(14, little.pack('IIQ', 3 << 20, 22, 0))]),
        'made-v7-shift': version7(little, pages, options=[shift_option(little)]),
        'small-v6': version6(Kind(page=1024), pages_of(Kind(page=1024)), instance=pages_of(Kind(page=1024), 50)),
        'small-v7': version7(Kind(page=1024), pages_of(Kind(page=1024)), options=[shift_option(little)]),
        'small-v7-zlib': version7(Kind(page=1024), pages_of(Kind(page=1024)), 'zlib'),
        'small-v7-be32': version7(Kind(True, 4, 1024), pages_of(Kind(True, 4, 1024)), instance={0: []}),
        'escape': version7(little, pages_of(little, name=b'\x1b[31m\nforged\xff')),
        'bad-page': version7(little, damaged),
        'bad-cut': whole[:-3000],
        'bad-cut-pages': whole[:-8000],
        'bad-cut-zlib': version7(little, pages, 'zlib')[:-60],
        'bad-cut-v6': version6(little, pages)[:-5000],
        'bad-chunk': version7(little, pages, 'zlib').replace(zlib.compress(b''.join(pages[0][:2]))[8:40], b'\0' * 32),
        'bad-option-ring': whole[:-8] + struct.pack('<Q', struct.unpack_from('<Q', whole, 27)[0]),
    }


def main():
    if sys.argv[1] == '--list':
        print('\n'.join(files()))
        return
    for name, data in files().items():
        with open(f'{sys.argv[1]}/{name}.dat', 'wb') as f:
            f.write(data)


if __name__ == '__main__':
    main()
