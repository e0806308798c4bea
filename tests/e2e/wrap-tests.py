#!/usr/bin/env python3
"""usage: wrap-tests.py CAIRN PROGRAM LIBC_WRAPPER PTHREAD_WRAPPER

--with libc,pthread: a program behaves the same without the wrappers, with them and no host, and
recorded; and its trace has what it did.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

CAIRN, PROGRAM, LIBC, PTHREAD = sys.argv[1:]
TMP = tempfile.TemporaryDirectory()
ENV = dict(os.environ, CAIRN_RUNDIR=os.path.join(TMP.name, 'run'),
           CAIRN_WAIT_MS='10000')  # a busy machine misses no first events
os.mkdir(ENV['CAIRN_RUNDIR'])


def run(*args, **env):
    return subprocess.run(args, capture_output=True, text=True, timeout=60, env={**ENV, **env})


def recorded():
    trace = os.path.join(TMP.name, 'trace')
    done = run(CAIRN, 'record', '-qo', trace, '--ring-size', '4M', '--with', 'libc,pthread', '--',
               PROGRAM, TMP.name)
    shown = run(CAIRN, 'print', '--json', '-e', 'libc:*', '-e', 'pthread:*', trace)
    events = collections.defaultdict(list)
    for line in shown.stdout.splitlines():
        event = json.loads(line)
        events[event['provider'] + ':' + event['event']].append(event['fields'])
    return done, events


PLAIN = run(PROGRAM, TMP.name)
RECORDED, EVENTS = recorded()


def some(name, **fields):
    assert any(all(e.get(k) == v for k, v in fields.items()) for e in EVENTS[name]), \
        (name, fields, EVENTS[name][:9])


def test_plain():
    assert PLAIN.returncode == 0 and 'child 7' in PLAIN.stdout, PLAIN


def test_preloaded_without_host():
    done = run(PROGRAM, TMP.name, LD_PRELOAD=LIBC + ':' + PTHREAD)
    assert (done.returncode, done.stdout, done.stderr) == (0, PLAIN.stdout, ''), done


def test_recorded():
    assert (RECORDED.returncode, RECORDED.stdout) == (0, PLAIN.stdout), RECORDED


def test_heap():
    some('libc:malloc', size=100)
    some('libc:malloc', size=1001)
    some('libc:calloc', n=7, size=11)
    some('libc:realloc', size=100001)
    some('libc:posix_memalign', align=4096, size=50, result=0)
    some('libc:memalign', align=64, size=65)
    some('libc:aligned_alloc', align=128, size=128)
    sizes = {e['ptr']: e['size'] for e in EVENTS['libc:malloc']}
    assert any(e['ptr'] in sizes for e in EVENTS['libc:free'])


def test_files():
    path = os.path.join(TMP.name, 'file')
    some('libc:open', path=path, error=0)
    some('libc:open', path='/nonexistent/file', result=-1, error=2)
    some('libc:write', size=10, result=10, error=0)
    some('libc:pread', offset=3, result=4)
    some('libc:pwrite', offset=8, result=2)
    some('libc:writev', n=1, result=4)
    some('libc:read', size=12, result=12)
    some('libc:close', result=-1, error=9)
    assert all(e['duration_ns'] < 60e9 for e in EVENTS['libc:read'])


def test_sockets():
    some('libc:connect', family=1, result=-1)
    some('libc:connect', family=1, result=0)
    assert any(e['result'] >= 0 for e in EVENTS['libc:accept'])


def test_locks():
    assert len(EVENTS['pthread:mutex_lock']) >= 100
    some('pthread:mutex_trylock', result=16)
    some('pthread:mutex_timedlock', result=110)
    some('pthread:cond_timedwait', result=110)
    some('pthread:rwlock_rdlock', result=0)
    some('pthread:rwlock_trywrlock', result=16)
    assert any(e['wait_ns'] > 0 for e in EVENTS['pthread:cond_wait'])
    assert len(EVENTS['pthread:cond_broadcast']) >= 100
    locks = {e['mutex'] for e in EVENTS['pthread:mutex_trylock']}
    for name in ('pthread:cond_wait', 'pthread:cond_timedwait'):
        assert {e['mutex'] for e in EVENTS[name]} == locks and len(locks) == 1, (name, locks)


def test_child():
    some('libc:malloc', size=1001)
    assert sum(e['size'] == 1001 for e in EVENTS['libc:malloc']) == 2


def main():
    tests = [(k[5:], f) for k, f in globals().items() if k.startswith('test_')]
    failed = 0
    for n, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f'ok {n} - {name}')
        except AssertionError as e:
            failed = 1
            print('# ' + str(e).replace('\n', '\n# '))
            print(f'not ok {n} - {name}')
    print(f'1..{len(tests)}')
    return failed


sys.exit(main())
