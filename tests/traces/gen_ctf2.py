"""CTF 2 traces for gen.py: made bit by bit from CTF2-SPEC-2.0. What they hold is in fixtures/ctf2*.txt."""
import json


def leb(p, v):
    """An integer of variable length: LEB128, signed or not."""
    p.align(8)
    while True:
        byte, v = v & 0x7f, v >> 7
        done = (v == 0 and not byte & 0x40) or (v == -1 and byte & 0x40)
        p.int(byte | (0 if done else 0x80), 8)
        if done:
            return


def uleb(p, v):
    p.align(8)
    while v >= 0x80:
        p.int(v & 0x7f | 0x80, 8)
        v >>= 7
    p.int(v, 8)


UUID = list(range(0x10, 0x20))


def uint(bits, **more):
    return {'type': 'fixed-length-unsigned-integer', 'length': bits, 'byte-order': 'little-endian',
            'alignment': 8 if bits % 8 == 0 else 1, **more}


def sint(bits, **more):
    return dict(uint(bits, **more), type='fixed-length-signed-integer')


VU = {'type': 'variable-length-unsigned-integer'}
VS = {'type': 'variable-length-signed-integer'}
STRING = {'type': 'null-terminated-string'}


def role(fc, *names):
    return dict(fc, roles=list(names))


def struct(*members, **more):
    return {'type': 'structure', 'member-classes': [{'name': n, 'field-class': fc} for n, fc in members],
            **more}


def optional(fc, path, ranges=None, origin=None):
    fc = {'type': 'optional', 'field-class': fc,
          'selector-field-location': dict({'path': path}, **({'origin': origin} if origin else {}))}
    if ranges:
        fc['selector-field-ranges'] = ranges
    return fc


def seq(fc, path, **more):
    return {'type': 'dynamic-length-array', 'element-field-class': fc,
            'length-field-location': {'path': path}, **more}


HEAD = [
    {'type': 'preamble', 'version': 2, 'uuid': UUID},
    {'type': 'field-class-alias', 'name': 'flag',
     'field-class': {'type': 'fixed-length-boolean', 'length': 8, 'byte-order': 'little-endian',
                     'alignment': 8}},
    {'type': 'trace-class', 'packet-header-field-class': struct(
        ('magic', role(uint(32), 'packet-magic-number')),
        ('uuid', {'type': 'static-length-blob', 'length': 16, 'roles': ['metadata-stream-uuid']}),
        ('sid', role(VU, 'data-stream-class-id')))},
    {'type': 'clock-class', 'id': 'c', 'frequency': 1000000000, 'origin': 'unix-epoch',
     'offset-from-origin': {'seconds': 1700000000}},
    {'type': 'data-stream-class', 'id': 5, 'default-clock-class-id': 'c',
     'packet-context-field-class': struct(
         # roles say what they are, not these names (which `dump` does not show)
         ('content_size', role(uint(64), 'packet-total-length')),
         ('packet_size', role(uint(64), 'packet-content-length')),
         ('timestamp_end', role(VU, 'default-clock-timestamp')),
         ('timestamp_begin', role(VU, 'packet-end-default-clock-timestamp')),
         ('packet_seq_num', role(VU, 'packet-sequence-number'))),
     'event-record-header-field-class': struct(
         ('id', role(VU, 'event-record-class-id')),
         ('ts', role(VU, 'default-clock-timestamp'))),
     'event-record-common-context-field-class': struct(('tid', VS))},
]


def event(ident, name, *members):
    return {'type': 'event-record-class', 'id': ident, 'data-stream-class-id': 5, 'name': name,
            'payload-field-class': struct(*members)}


EVENTS = [
    event(0, 'numbers', ('u', VU), ('s', VS), ('hex', dict(VU, **{'preferred-display-base': 16})),
          ('state', dict(VS, mappings={'LOW': [[-5, -1]], 'HIGH': [[100, 200], [300, 300]]})),
          ('after', uint(3)), ('again', VU)),
    event(1, 'bits', ('map', {'type': 'fixed-length-bit-map', 'length': 8, 'byte-order': 'little-endian',
                              'alignment': 8, 'flags': {'READ': [[0, 0]], 'WRITE': [[1, 1], [4, 5]],
                                                        'ANY': [[0, 7]]}}),
          ('wide', {'type': 'fixed-length-bit-map', 'length': 16, 'byte-order': 'big-endian',
                    'alignment': 8, 'flags': {'TOP': [[15, 15]], 'NONE': [[4, 7]], 'LOW': [[0, 3]]}}),
          ('plain', {'type': 'fixed-length-bit-array', 'length': 4, 'byte-order': 'little-endian'})),
    event(2, 'maybe', ('has', 'flag'), ('name', optional(STRING, ['has'])),
          ('n', VS), ('few', optional(struct(('a', uint(8)), ('b', VU)), ['n'], [[-3, -1], [7, 7]])),
          ('last', uint(16))),
    event(3, 'lists', ('len', VU), ('all', seq(VS, ['len'])),
          ('pairs', {'type': 'static-length-array', 'length': 2, 'element-field-class': struct(
              ('has', 'flag'), ('v', optional(VU, ['has'])),
              ('inner', struct(('again', optional(uint(8), [None, 'has']))))) }),
          ('aligned', {'type': 'static-length-array', 'length': 2, 'minimum-alignment': 32,
                       'element-field-class': uint(8)})),
    event(4, 'choices', ('which', VU), ('v', {
        'type': 'variant', 'selector-field-location': {'path': ['which']}, 'options': [
            {'selector-field-ranges': [[0, 0]], 'field-class': struct(('k', uint(8)), ('x', STRING))},
            {'selector-field-ranges': [[1, 1], [5, 9]], 'field-class': struct(('k', uint(8)))},
            {'name': 'text', 'selector-field-ranges': [[2, 2]], 'field-class': STRING}]}),
          # the spec's example: an optional variant, both by one selector
          ('both', optional({'type': 'variant', 'selector-field-location': {
              'origin': 'event-record-payload', 'path': ['which']}, 'options': [
                  {'selector-field-ranges': [[1, 1]], 'field-class': STRING},
                  {'selector-field-ranges': [[2, 255]], 'field-class': VS}]},
              ['which'], [[1, 255]], 'event-record-payload'))),
    event(5, 'through', ('which', uint(8)), ('v', {
        'type': 'variant', 'selector-field-location': {'path': ['which']}, 'options': [
            {'selector-field-ranges': [[0, 0]], 'field-class': struct(('k', uint(8)), ('x', uint(8)))},
            {'selector-field-ranges': [[1, 1]], 'field-class': struct(('k', uint(16)))}]}),
          ('of', seq(uint(8), ['v', 'k'])),  # k of the option that was there
          ('by_context', optional(uint(8), ['tid'], [[-9, -9]], 'event-record-common-context'))),
]


def packet(bits, begin, end, number, body):
    def make(content, size):
        p = bits(False)
        p.int(0xc1fc1fc1, 32)
        for b in UUID:
            p.int(b, 8)
        uleb(p, 5)
        p.int(size, 64)
        p.int(content, 64)
        for v in (begin, end, number):
            uleb(p, v)
        body(p)
        return p
    n = len(make(0, 0).bits)
    return make(n, (n + 7) // 8 * 8 + 40).bytes() + b'\xa5' * 5


def header(p, ident, ts, tid):
    """ts: as many of its low bits as 7 * the number of bytes says."""
    p.align(8)
    uleb(p, ident)
    uleb(p, ts)
    leb(p, tid)


def numbers(p):
    header(p, 0, 1000, -9)
    for f, v in ((uleb, 0), (leb, -1), (uleb, 0xbeef), (leb, -5)):
        f(p, v)
    p.int(5, 3)
    uleb(p, 127)
    header(p, 0, 5, 1 << 40)  # 1000 ends in 104: 7 bits that go on to 1024 + 5
    for f, v in ((uleb, (1 << 64) - 1), (leb, -(1 << 63)), (uleb, 1 << 63), (leb, 300)):
        f(p, v)
    p.int(2, 3)
    for b in (0x81, 0x80, 0x80, 0):  # longer than need be
        p.int(b, 8)
    header(p, 0, 1030, 0)
    for f, v in ((uleb, 128), (leb, (1 << 63) - 1), (uleb, 15), (leb, 64)):
        f(p, v)
    p.int(0, 3)
    for b in [0xff] * 9 + [0x81, 0x80, 0x80, 0]:  # 2^64 - 1, and longer than need be
        p.int(b, 8)


def others(p):
    header(p, 1, 1036, 1)
    p.int(0b00100001, 8)
    p.int(0x8005, 16, be=True)
    p.int(9, 4)
    header(p, 2, 1040, 1)
    p.int(1, 8)
    p.str('here')
    leb(p, -2)
    p.int(9, 8)
    uleb(p, 300)
    p.int(77, 16)
    header(p, 2, 1041, 1)
    p.int(0, 8)
    leb(p, 8)
    p.int(78, 16)
    header(p, 3, 1042, 1)
    p.align(32)  # what one member wants, the structure wants
    uleb(p, 3)
    for v in (1, -200, 30000):
        leb(p, v)
    p.int(255, 8)
    uleb(p, 500)
    p.int(3, 8)
    p.int(0, 8)
    p.align(32)
    p.int(1, 8)
    p.int(2, 8)
    header(p, 4, 1050, 1)
    uleb(p, 0)
    p.int(4, 8)
    p.str('x')
    header(p, 4, 1051, 1)
    uleb(p, 1)
    p.int(5, 8)
    p.str('one')
    header(p, 4, 1052, 1)
    uleb(p, 2)
    p.str('two')
    leb(p, -2)
    header(p, 5, 1060, -9)
    p.int(0, 8)
    p.int(2, 8)
    p.int(99, 8)
    p.int(11, 8)
    p.int(12, 8)
    p.int(1, 8)
    header(p, 5, 1061, -8)
    p.int(1, 8)
    p.int(1, 16)
    p.int(13, 8)


def ctf2(out, bits_class, write):
    meta = ''.join('\x1e' + json.dumps(f) + '\n' for f in HEAD + EVENTS)
    write(out, 'ctf2', meta, {
        'stream': packet(bits_class, 1000, 1035, 0, numbers) +
                  packet(bits_class, 1036, 1070, 1, others)})
