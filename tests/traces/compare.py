#!/usr/bin/env python3
"""compare.py DUMP GEN FIXTURES [DIR]: our reader against babeltrace2, line by line, for generated traces
and those kept in FIXTURES and DIR; and traces that babeltrace2 cannot read against texts kept there."""
import os
import shutil
import subprocess
import sys
import tempfile

dump, gen, fixtures = sys.argv[1:4]
kept = sys.argv[3:]
number = failures = 0


def result(ok, name, why=''):
    global number, failures
    number += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {number} - {name}{why}", flush=True)


def differ(a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return f'line {i + 1}:\n# oracle: {x}\n# ours:   {y}'
    return f'{len(a)} lines by the oracle, {len(b)} by us'


def check(name, path, want):
    ours = subprocess.run([dump, path], capture_output=True, text=True, errors='replace')
    got = ours.stdout.splitlines()
    ok = ours.returncode == 0 and got == want and len(want) > 0
    if not ok:
        print('#', ours.stderr.strip().replace('\n', '\n# '))
        print('#', differ(want, got))
    result(ok, name)


bt = shutil.which('babeltrace2')
with tempfile.TemporaryDirectory() as tmp:
    subprocess.run([sys.executable, gen, tmp], check=True)
    traces = [(t, os.path.join(tmp, t)) for t in sorted(os.listdir(tmp))]
    traces += [(t, os.path.join(d, t)) for d in kept for t in sorted(os.listdir(d))
               if any('metadata' in names for _, _, names in os.walk(os.path.join(d, t)))]
    for name, path in traces:
        text = os.path.join(fixtures, name + '.txt')
        if os.path.exists(text):
            with open(text, encoding='utf-8') as f:
                check(name, path, f.read().splitlines())
        elif not bt:
            result(True, name, ' # SKIP babeltrace2 is not installed')
        else:
            p = subprocess.run([bt, '--clock-seconds', '--no-delta', path], capture_output=True,
                               text=True, errors='replace')
            check(name, path, p.stdout.splitlines())
print(f'1..{number}')
sys.exit(failures != 0)
