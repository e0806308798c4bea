#!/usr/bin/env python3
"""cli-tests CAIRN PROGRAM: what the commands do, from the outside. Prints TAP."""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile

CAIRN, PROGRAM = (os.path.abspath(p) for p in sys.argv[1:3])
WORK = tempfile.mkdtemp(prefix='cairn-cli-')
RUNDIR = os.path.join(WORK, 'run')
ENV = dict(os.environ, CAIRN_RUNDIR=RUNDIR, TZ='UTC', LC_ALL='C.UTF-8',
           CAIRN_WAIT_MS='10000')  # a busy machine misses no first events
# Where programs look for the runtime of a daemon whose run directory is not the usual one.
MARKED_ENV = dict(ENV, CAIRN_RT=os.path.join(os.path.dirname(CAIRN), 'libcairn-rt.so'))
LIMIT = 60  # seconds: only a hang takes that long

# Shells ignore it in what they start in the background, and so would all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def cairn(*args, **more):
    return subprocess.run([CAIRN, *args], capture_output=True, text=True, env=ENV, timeout=LIMIT,
                          cwd=WORK, check=False, **more)


def trace(name):
    return os.path.join(WORK, name)


def events(path, *args):
    done = cairn('print', '--json', *args, path)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(got, want):
    assert got == want, '%r is not %r' % (got, want)


def has(text, part):
    assert part in text, '%r is not in %r' % (part, text)


# ---- record ----

def test_record_and_print():
    done = cairn('record', '-o', trace('a'), '--', PROGRAM, '1000')
    same(done.returncode, 0)
    has(done.stderr, 'cairn: 1,002 events')
    has(done.stderr, 'cairn print ' + trace('a'))
    ticks = events(trace('a'), '-e', 'demo:tick')
    same([e['fields']['i'] for e in ticks], list(range(1000)))
    same(ticks[999]['fields']['square'], 998001)
    same({(e['provider'], e['event']) for e in ticks}, {('demo', 'tick')})
    times = [e['time_ns'] for e in ticks]
    same(times, sorted(times))


def test_fields():
    kinds, = events(trace('a'), '-e', 'demo:kinds')
    same(kinds['fields'], {'name': 'it\'s "quoted"\n', 'blob': [1, -2, 3], 'flags': 255,
                           'raw': 'dead0001', 'half': 0.5, 'none': '(null)', 'colour': 'GREEN'})
    text = cairn('print', '-e', 'demo:kinds', trace('a')).stdout
    has(text, 'demo:kinds: name="it\'s \\"quoted\\"\\x0a" blob=[1, -2, 3] flags=0xff raw=dead0001 '
        'half=0.5 none=(null) colour=GREEN\n')


def test_log_shows_its_message():
    has(cairn('print', '-e', 'demo:*.c:*', trace('a')).stdout, ': fired 1000 times, done\n')


def test_text_names_the_thread():
    none = cairn('print', '-e', 'demo:tock', trace('a'))
    same((none.returncode, none.stdout), (0, ''))
    has(none.stderr, 'no event of the trace is one of those asked for')
    same(cairn('print', '-q', '-e', 'demo:tock', trace('a')).stderr, '')
    line = cairn('print', '-e', 'demo:tick', '-n', '1', trace('a')).stdout
    assert re.match(r' +cli-program-\d+ +\[\d{3}\] +\d+\.\d{9}: demo:tick: i=0 square=0\n$', line), line


def test_stat():
    done = cairn('stat', '--json', trace('a'))
    got = json.loads(done.stdout)
    same(got['by_event']['demo:tick'], 1000)
    same(got['events'], sum(got['by_event'].values()))
    same(got['lost'], {})
    assert got['bytes'] > 1000 * 12
    same(got['events'], len(cairn('print', trace('a')).stdout.splitlines()))


def test_babeltrace_agrees():
    if not shutil.which('babeltrace2'):
        return 'no babeltrace2'
    theirs = subprocess.run(['babeltrace2', trace('a')], capture_output=True, text=True, env=ENV,
                            timeout=LIMIT, check=False)
    same((theirs.returncode, theirs.stderr), (0, ''))
    ours = cairn('print', '--style', 'babeltrace', trace('a')).stdout
    same(len(theirs.stdout.splitlines()), len(ours.splitlines()))
    for first in (r'demo:tick: .*', r'demo:kinds: .*'):
        same(re.search(first, ours).group(), re.search(first, theirs.stdout).group())
    # times as asked for
    for kind, first in (('unix', r'\[\d{10}\.\d{9}\] \(\+'), ('start', r'\[ +0\.\d{9}\] '), ('date', r'\[\d\d:\d\d:\d\d\.'),
                        ('clock', r'\[ *\d+\.\d{9}\] ')):
        shown = cairn('print', '--style', 'babeltrace', '--time', kind, trace('a')).stdout
        assert re.match(first, shown), (kind, shown[:100])
        same(re.sub(r'(?m)^\[.*?\]', '', shown), re.sub(r'(?m)^\[.*?\]', '', ours))
    return None


def test_exit_status_is_passed_on():
    same(cairn('record', '-qo', trace('b1'), '--', PROGRAM, '1', '-', '3').returncode, 3)
    same(cairn('record', '-qo', trace('b2'), '--', 'sh', '-c', 'kill -TERM $$').returncode, 143)
    same(cairn('record', '-qo', trace('b3'), '--', 'true').returncode, 0)


def test_command_not_found():
    done = cairn('record', '-o', trace('c'), '--', 'no-such-command')
    same(done.returncode, 127)
    has(done.stderr, "cannot run 'no-such-command'")
    same(cairn('record', '-o', trace('c2'), '--', '/dev/null').returncode, 126)


def test_default_output():
    done = cairn('record', '--', PROGRAM)
    name = re.search(r'cairn print (cairn-\d{8}-\d{6})\n', done.stderr)
    assert name, done.stderr
    same(len(events(name.group(1), '-e', 'demo:tick')), 1)


def test_output_that_is_there():
    done = cairn('record', '-o', trace('a'), '--', PROGRAM)
    same(done.returncode, 1)
    has(done.stderr, trace('a'))


def test_nothing_recorded():
    done = cairn('record', '-o', trace('d'), '--', 'true')
    has(done.stderr, 'nothing was recorded')
    has(done.stderr, 'hint: ')
    done = cairn('record', '-o', trace('d2'), '-e', 'other:*', '--', PROGRAM)
    has(done.stderr, 'nothing was recorded: 1 program connected')


def test_rules():
    cairn('record', '-o', trace('e1'), '-e', 'demo:k*', '--', PROGRAM)
    cairn('record', '-o', trace('e2'), '-e', 'demo', '--exclude', 'demo:tick', '--', PROGRAM)
    cairn('record', '-o', trace('e3'), '--loglevel', 'warning', '--', PROGRAM)
    for name, want in (('e1', 1), ('e2', 2), ('e3', 1)):
        same(len(events(trace(name), '-e', 'demo')), want)


def test_stream():
    for option in ('', '--ctf2 '):
        command = f'"$0" record {option}-qo - -- "$1" 500 | "$0" print --json -e demo:tick -'
        done = subprocess.run(['sh', '-c', command, CAIRN, PROGRAM], capture_output=True, text=True,
                              env=ENV, timeout=LIMIT, check=False)
        same(done.returncode, 0)
        same([json.loads(line)['fields']['i'] for line in done.stdout.splitlines()],
             list(range(500)))


def test_children_are_followed():
    cairn('record', '-o', trace('f'), '--', 'sh', '-c', '"$0"; "$0" & wait; :', PROGRAM)
    same(len({e['tid'] for e in events(trace('f'), '-e', 'demo:tick')}), 2)


def test_overwrite_is_written_at_the_end():
    done = cairn('record', '-o', trace('g'), '--mode', 'overwrite', '--ring-size', '64K', '--',
                 PROGRAM, '100000')
    same(done.returncode, 0)
    got = [e['fields']['i'] for e in events(trace('g'), '-e', 'demo:tick')]
    same(got[-1], 99999)
    assert 1000 < len(got) < 100000, len(got)


def test_with_libc():
    if not os.path.exists(os.path.join(os.path.dirname(CAIRN), 'libcairn-libc.so')):
        return 'libcairn-libc.so is not built'
    done = cairn('record', '-o', trace('h'), '--with', 'libc,pthread', '--', 'ls', '-l', '/')
    same(done.returncode, 0)
    names = json.loads(cairn('stat', '--json', trace('h')).stdout)['by_event']
    assert any(n.startswith('libc:malloc') for n in names), names
    return None


def test_duration():
    """It ends the recording, not the command; on a busy machine perhaps before its first event."""
    for ms in (200, 1000, 5000, 25000):
        out = trace('i%d' % ms)
        with subprocess.Popen([CAIRN, 'record', '-o', out, '--duration', '%dms' % ms, '--', PROGRAM, '1', 'wait', '5'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV) as p:
            same(p.stdout.readline(), b'ready\n')
            assert p.stderr.readline()  # what was recorded: it has ended
            p.stdin.write(b'too late\n')
            p.stdin.close()
            same(p.wait(LIMIT), 5)
        if events(out, '-e', 'demo:tick'):
            break
    same(len(events(out, '-e', 'demo:tick')), 1)
    same(events(out, '-e', 'demo:line'), [])


# ---- a terminal ----

def until(fd, pattern, limit=LIMIT):
    """What a terminal showed up to the pattern."""
    shown = b''
    while not re.search(pattern, shown):
        ready, _, _ = select.select([fd], [], [], limit)
        assert ready, 'not shown: %r in %r' % (pattern, shown)
        try:
            got = os.read(fd, 4096)
        except OSError:
            got = b''
        assert got, 'the end came before %r: %r' % (pattern, shown)
        shown += got
    return shown.decode()


def on_terminal(*args):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(ENV)
        os.execv(CAIRN, [CAIRN, *args])
    return pid, fd


def test_progress_and_ctrl_c():
    pid, fd = on_terminal('record', '-o', trace('j'), '--', PROGRAM, '10', 'wait')
    shown = until(fd, rb'ready')
    shown += until(fd, rb'events  .*/s  lost 0  .*B  ')
    os.write(fd, b'\x03')
    shown = until(fd, rb'cairn print')
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    same(os.waitstatus_to_exitcode(status), 128 + signal.SIGINT)
    has(shown, 'cairn: 12 events')
    same(len(events(trace('j'), '-e', 'demo:tick')), 10)


def test_no_progress_without_terminal():
    done = cairn('record', '-o', trace('k'), '--', 'sleep', '0.7')
    assert '\r' not in done.stderr, done.stderr


# ---- print ----

def test_closed_pipe_is_quiet():
    done = subprocess.run(['bash', '-c', '"$0" print "$1" | head -n 1; echo ${PIPESTATUS[0]}', CAIRN,
                           trace('g')], capture_output=True, text=True, env=ENV, timeout=LIMIT,
                          check=False)
    same(done.stdout.splitlines()[-1], '0')
    same(done.stderr, '')


def test_full_disk_is_said():
    with open('/dev/full', 'w', encoding='utf-8') as full:
        done = subprocess.run([CAIRN, 'print', trace('a')], stdout=full, stderr=subprocess.PIPE,
                              text=True, env=ENV, timeout=LIMIT, check=False)
    same(done.returncode, 1)
    has(done.stderr, 'No space left')


def test_follow():
    with subprocess.Popen([CAIRN, 'record', '-qo', trace('l'), '--', PROGRAM, '1', 'wait'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV) as rec:
        same(rec.stdout.readline(), b'ready\n')
        while not os.path.exists(trace('l') + '/metadata'):
            pass
        with subprocess.Popen([CAIRN, 'print', '-f', '-e', 'demo', trace('l')],
                              stdout=subprocess.PIPE, env=ENV) as follow:
            has(follow.stdout.readline().decode(), 'demo:tick')
            rec.stdin.write(b'more\n')
            rec.stdin.flush()
            line = ''
            while 'demo:line' not in line:
                line = follow.stdout.readline().decode()
                assert line
            follow.send_signal(signal.SIGINT)
            same(follow.wait(LIMIT), 0)
        rec.stdin.close()
        same(rec.wait(LIMIT), 0)


# ---- the daemon ----

def test_no_daemon():
    done = cairn('list')
    same(done.returncode, 1)
    has(done.stderr, 'hint: ')


def test_daemon_and_sessions():
    same(cairn('daemon', '-d', '--output-root', trace('root')).returncode, 0)
    try:
        with subprocess.Popen([PROGRAM, '1', 'wait'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=MARKED_ENV) as p:
            same(p.stdout.readline(), b'ready\n')
            daemon_commands(p)
            p.stdin.close()
    finally:
        same(cairn('daemon', '--stop').returncode, 0)


def daemon_commands(p):
    got = json.loads(cairn('list', '--json').stdout)
    program, = [x for x in got['programs'] if x['pid'] == p.pid]
    tick, = [e for e in program['events'] if e['event'] == 'tick']
    same([f['name'] for f in tick['fields']], ['i', 'square'])
    has(cairn('list').stdout, 'demo:tick')
    done = cairn('session', 'create', 's', '-o', 'daemon-trace', '-e', 'demo:line', '--start', '--json')
    same((done.returncode, done.stderr), (0, ''))
    same(json.loads(done.stdout)['acted'], 1)
    p.stdin.write(b'one\n')
    p.stdin.flush()
    state = None
    while not (state and state['events']):
        state, = json.loads(cairn('session', 'list', '--json', 's').stdout)
    same((state['state'], state['rules'][0]['pattern']), ('running', 'demo:line'))
    same(cairn('session', 'stop', 's').returncode, 0)
    same([e['fields']['text'] for e in events(trace('daemon-trace'), '-e', 'demo:line')], ['one\n'])
    same(cairn('session', 'destroy', 's').returncode, 0)
    done = cairn('session', 'start', 's')
    same(done.returncode, 1)
    has(done.stderr, 's')
    same(cairn('session', 'create', 'box', '--mode', 'overwrite', '--start').returncode, 0)
    p.stdin.write(b'two\n')
    p.stdin.flush()
    found = []
    while not found:
        done = cairn('session', 'snapshot', 'box', '--json')
        same(done.returncode, 0)
        found = events(json.loads(done.stdout)['directory'], '-e', 'demo:line')
    same(found[0]['fields']['text'], 'two\n')


def main():
    tests = [(k[5:].replace('_', ' '), v) for k, v in globals().items() if k.startswith('test_')]
    failed = 0
    for n, (name, test) in enumerate(tests, 1):
        skip = None
        try:
            skip = test()
            ok = 'ok'
        except (AssertionError, ValueError, KeyError, OSError, subprocess.SubprocessError) as e:
            ok = 'not ok'
            failed += 1
            for line in ('%s: %s' % (type(e).__name__, e)).splitlines()[:20]:
                print('# ' + line[:2000])
        print('%s %d - %s%s' % (ok, n, name, ' # SKIP ' + skip if skip else ''), flush=True)
    print('1..%d' % len(tests))
    shutil.rmtree(WORK)
    return failed != 0


sys.exit(main())
