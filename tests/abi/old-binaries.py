#!/usr/bin/env python3
"""usage: old-binaries.py CAIRN DIR

Programs built with earlier headers (DIR/v*.bin, see remake) are traced by today's runtime: each
event of each of them is there, with its fields.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

CAIRN, DIR = sys.argv[1:]
LONG = ''.join(chr(ord('a') + i % 26) for i in range(2999))


def want():
    for n, text, color in (1, 'one', 'GREEN'), (2, 'two', 'BLUE'):
        yield 'none', {}
        yield 'numbers', {'n': n, 'small': -3, 'large': 2**64 - 1, 'real': n + 0.5, 'half': 0.5,
                          'letter': 'x', 'yes': True}
        yield 'strings', {'text': text, 'null': '(null)', 'name': 'name'}
        yield 'arrays', {'fixed': [1, 2, 3], 'some': [1, 2, 3][:n],
                         'blob': [0xde, 0xad, 0xbe, 0xef]}
        yield 'labels', {'color': color, 'hex': n}
        yield 'warning', {'n': n}
        yield 'log', {'n': n, 'text': text}
        yield 'in_inline', {'n': n}
    yield 'longer', {'text': LONG, 'i': 2999}


def same(a, b):
    """JSON shows some kinds in ways of its own (enums as value and name, bytes as hex, ...)."""
    if isinstance(a, dict):
        a = a.get('label', a.get('labels', a.get('name', a)))
        if isinstance(a, list) and len(a) == 1:
            a = a[0]
    if a == b:
        return True
    if isinstance(b, list) and isinstance(a, str):
        return bytes.fromhex(a.replace('0x', '').replace(' ', '')) == bytes(b)
    if isinstance(b, list) and isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, str) and isinstance(b, int) and not isinstance(b, bool):
        return int(a, 0) == b
    if isinstance(b, str) and len(b) == 1 and isinstance(a, int):
        return chr(a) == b
    return isinstance(b, bool) and a in (int(b), str(b).lower())


def check(binary, tmp):
    trace = os.path.join(tmp, 'trace')
    done = subprocess.run([CAIRN, 'record', '-qo', trace, '-e', 'abi:*', '--', binary],
                          capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, CAIRN_WAIT_MS='10000'))  # a busy machine misses no first events
    if done.returncode:
        return ['# ' + line for line in done.stderr.splitlines()]
    lines = subprocess.run([CAIRN, 'print', '--json', '-e', 'abi:*', trace], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    got, bad = [json.loads(line) for line in lines], []
    expected = list(want())
    if len(got) != len(expected):
        bad.append(f'# {len(got)} events, expected {len(expected)}')
    for event, (name, fields) in zip(got, expected):
        ok = event['event'] == name or name == 'log' and event['event'].startswith('program.c')
        shown = {k: v for k, v in event['fields'].items()}
        ok = ok and all(k in shown and same(shown[k], v) for k, v in fields.items())
        if not ok:
            bad.append(f'# {event}, expected {name} {fields}')
    return bad


def main():
    binaries = sorted(glob.glob(os.path.join(DIR, 'v*.bin')))
    if os.uname().machine != 'x86_64':
        print('1..0 # SKIP the binaries are of x86-64')
        return 0
    failed = not binaries
    for n, binary in enumerate(binaries, 1):
        with tempfile.TemporaryDirectory() as tmp:
            bad = check(binary, tmp)
        failed |= bool(bad)
        print('\n'.join([f'{"not " if bad else ""}ok {n} - {os.path.basename(binary)}', *bad]))
    print(f'1..{len(binaries)}')
    return failed


sys.exit(main())
