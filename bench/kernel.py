"""The kernel's sections of bench/run: the same kernel events recorded by us and by the peers.

trace-cmd's record refuses to start where the function tracer is closed to root; there its recorders
are stood in for by kernel-splice, which does what they do, and `trace-cmd restore` makes the file.
"""
import contextlib
import os
import re
import resource
import shutil
import subprocess
import time
import peers
from report import EVENTS, ROUNDS, Series, median, ratio, say, spread, table

TRACING = '/sys/kernel/tracing'
RAW = ('raw_syscalls:sys_enter', 'raw_syscalls:sys_exit')
PAIR = ('syscalls:sys_enter_getppid', 'syscalls:sys_exit_getppid')
SCHED = ('sched:*', 'irq:*', 'timer:*', 'kmem:*', 'filemap:*', 'syscalls:*')
WORK = 'for i in 1 2 3 4; do ls -lR /usr/include /usr/share/doc >/dev/null; done'
BUFFER_KIB = 131072  # the peers' rings, of each CPU; ours has its default but where a row says so


def samples(found):
    return [o for o in found if 'ns' in o]


def syscalls(cairn):
    return [cairn.bench('syscall'), EVENTS]


def children_ms():
    """CPU time of all processes that ended so far."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (use.ru_utime + use.ru_stime) * 1e3


def put(path, text):
    with open(path, 'w') as f:
        f.write(text)


@contextlib.contextmanager
def instance(patterns, only=''):
    """A tracefs instance of the bench's own with these events on; its folder."""
    where = '%s/instances/bench-%d' % (TRACING, os.getpid())
    os.mkdir(where)
    try:
        put(where + '/tracing_on', '0')
        put(where + '/buffer_size_kb', str(BUFFER_KIB))
        put(where + '/options/event-fork', '1')
        for pattern in patterns:
            path = '%s/events/%s' % (where, pattern.replace(':', '/').replace('/*', ''))
            if only:
                put(path + '/filter', only)
            put(path + '/enable', '1')
        yield where
    finally:
        put(where + '/tracing_on', '0')
        put(where + '/set_event', '')
        for _ in range(100):  # its readers may be just ending
            with contextlib.suppress(OSError):
                os.rmdir(where)
                break
            time.sleep(.02)


def traced(where, command):
    """The command, with its process alone (and its children) traced in the instance."""
    return ['sh', '-c', 'echo $$ >"$0/set_event_pid" && echo 1 >"$0/tracing_on" && exec "$@"',
            where] + command


def overrun(where):
    total = 0
    for cpu in os.listdir(where + '/per_cpu'):
        with open('%s/per_cpu/%s/stats' % (where, cpu)) as f:
            found = dict(line.split(': ') for line in f.read().splitlines() if ': ' in line)
        total += int(found['overrun']) + int(found['dropped events'])
    return total


class Splice:
    """Records with trace-cmd's way into work/raw0...; .data, .lost and .cpu_ms are known at the end."""

    def __init__(self, cairn, patterns):
        self.cairn, self.patterns = cairn, patterns
        self.out = os.path.join(cairn.work, 'raw')

    def run(self, command):
        with instance(self.patterns) as where:
            recorder = subprocess.Popen(
                peers.ON_TOOL_CPU + [self.cairn.bench('kernel-splice'), where, self.out],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            try:
                recorder.stdout.readline()  # it is ready
                found = peers.objects(peers.run(traced(where, command)))
                put(where + '/tracing_on', '0')
            finally:
                recorder.terminate()
                said = peers.objects(recorder.communicate(timeout=60)[0])
            self.lost = overrun(where)
        self.cpu_ms, self.bytes = said[-1]['cpu_ms'], said[-1]['bytes']
        return found

    def dat(self):
        """A trace.dat of what was recorded last."""
        head, dat = self.out + '-head.dat', self.out + '.dat'
        raw = sorted((self.out + n for n in (str(i) for i in range(os.cpu_count()))))
        peers.run(['trace-cmd', 'restore', '-c', '-o', head])
        peers.run(['trace-cmd', 'restore', '-i', head, '-o', dat] + raw)
        return dat


def records(cairn, patterns, command, *options):
    """Our recording of the kernel's events of a command: its own words, our CPU ms beside its."""
    before = children_ms()
    options = [o for p in patterns for o in ('-k', p)] + list(options)
    found = cairn.record(options, command)
    used = children_ms() - before
    return samples(found), used - sum(o.get('cpu_ms', 0) for o in found)


def kernel_stat(cairn):
    return cairn.stat(os.path.join(cairn.trace, 'kernel'))


def lost_of(stat):
    return sum(stat['lost'].values())


def perf_record(cairn, events, command):
    data = os.path.join(cairn.work, 'perf.data')
    found = peers.objects(peers.run(peers.ON_TOOL_CPU + ['perf', 'record', '-q', '-o', data, '-e',
                                                         ','.join(events)] + command))
    stats = peers.run(['perf', 'report', '--stats', '-i', data])
    counted = re.search(r'SAMPLE events: +(\d+)', stats)
    return samples(found), int(counted.group(1)) if counted else 0


def optional(what, measure):
    """A peer that cannot run here has no result; the others do."""
    try:
        return measure()
    except (RuntimeError, OSError) as e:
        say('%s: no result: %s' % (what, str(e)[:300]))
        return None


def section_syscall(cairn, lttng):
    names = ('untraced', 'ring only, tracefs', 'spliced to files, tracefs', 'perf record, to a file',
             'cairn record -k, to files as CTF', 'strace, same CPU')
    series, lost = {n: Series() for n in names}, {n: [0, 0] for n in names}
    calls = (int(os.environ.get('BENCH_REPS', '7')) + 1) * int(EVENTS)
    splice = Splice(cairn, RAW)
    for _ in range(ROUNDS):
        series[names[0]].add(samples(peers.objects(peers.run(syscalls(cairn)))))
        with instance(RAW) as where:
            found = peers.objects(peers.run(traced(where, syscalls(cairn))))
        series[names[1]].add(samples(found))
        series[names[2]].add(samples(splice.run(syscalls(cairn))))
        lost[names[2]][0] += splice.lost
        lost[names[2]][1] += 2 * calls
        done = optional(names[3], lambda: perf_record(cairn, RAW, syscalls(cairn)))
        if done:
            series[names[3]].add(done[0])
            lost[names[3]][0] += max(2 * calls - done[1], 0)
            lost[names[3]][1] += 2 * calls
        series[names[4]].add(records(cairn, RAW, syscalls(cairn))[0])
        stat = kernel_stat(cairn)
        lost[names[4]][0] += lost_of(stat)
        lost[names[4]][1] += lost_of(stat) + stat['events']
        done = optional(names[5], lambda: peers.run(
            peers.ON_BENCH_CPU + ['strace', '-o', '/dev/null', cairn.bench('syscall'), '2000'],
            {'BENCH_REPS': '3'}))
        if done:
            series[names[5]].add(samples(peers.objects(done)))
    base = series[names[0]].medians()
    rows = []
    for n in names:
        if not series[n].runs:
            continue
        added = [a - b for a, b in zip(series[n].medians(), base)]
        ring = [a - b for a, b in zip(series[names[1]].medians(), base)]
        rows.append([n, series[n].ns(), series[n].cg()] +
                    ([spread(added, '%+.1f'), ratio(added, ring, '%.2f×')] if n != names[0] else ['', '']) +
                    ['%d of %d' % tuple(lost[n]) if lost[n][1] else ''])
    table('Kernel: a system call, enter and exit recorded',
          '`bench-syscall %s` (getppid in a loop, pinned; 8 times) with raw_syscalls:sys_enter and '
          'sys_exit; ours with the default buffers, the peers with %d MiB a CPU. strace by its wall '
          'time would be more: this is the traced thread\'s.' % (EVENTS, BUFFER_KIB >> 10),
          ['how', 'ns a call', 'cg', 'added ns', 'of the ring only', 'events lost'], rows)


def section_filter(cairn, lttng):
    names = ('untraced', 'rejected, tracefs', 'rejected, cairn record -k')
    series = {n: Series() for n in names}
    only = 'id == 100000'
    for _ in range(ROUNDS):
        series[names[0]].add(samples(peers.objects(peers.run(syscalls(cairn)))))
        with instance(RAW[:1], only) as where:
            series[names[1]].add(samples(peers.objects(peers.run(traced(where, syscalls(cairn))))))
        series[names[2]].add(records(cairn, ('%s if %s' % (RAW[0], only),), syscalls(cairn))[0])
    base = series[names[0]].medians()
    added = {n: [a - b for a, b in zip(series[n].medians(), base)] for n in names}
    rows = [[n, series[n].ns(), series[n].cg(), spread(added[n], '%+.1f') if n != names[0] else '']
            for n in names]
    rows.append(['Cairn / tracefs, whole call', '', '',
                 ratio(series[names[2]].medians(), series[names[1]].medians())])
    table('Kernel: an event that a filter rejects', '`raw_syscalls:sys_enter if %s`, nothing else '
          'on.' % only, ['how', 'ns a call', 'cg', 'added ns'], rows)


def section_consume(cairn, lttng):
    rows = []
    for name, patterns in (('raw_syscalls', RAW), ('getppid enter, exit', PAIR)):
        series, ours, theirs, files = {}, [], [], []
        splice = Splice(cairn, patterns)
        events = 2 * 8 * int(EVENTS)
        for _ in range(ROUNDS):
            for o in peers.objects(peers.run(peers.ON_BENCH_CPU + [cairn.bench('kernel-consume'),
                                                                  '200000', *patterns])):
                series.setdefault(o['key'], Series()).add([o])
            used = records(cairn, patterns, syscalls(cairn))[1]
            ours.append(used * 1e6 / kernel_stat(cairn)['events'])
            splice.run(syscalls(cairn))
            theirs.append(splice.cpu_ms * 1e6 / events)
        before = children_ms()
        dat = splice.dat()
        peers.run(['trace-cmd', 'convert', '--compression', 'none', '-i', dat, '-o', dat + '.7'])
        files.append((children_ms() - before) * 1e6 / events)
        for key, s in series.items():
            rows.append(['%s: Cairn, %s' % (name, key), s.ns(), s.cg()])
        rows.append(['%s: `cairn record`, all its CPU time, its start and the disk too' % name,
                     spread(ours), ''])
        rows.append(['%s: splice to files (what trace-cmd record does)' % name, spread(theirs), ''])
        rows.append(['%s: then trace-cmd restore and convert' % name, spread(files), ''])
    table('Kernel: the consumer, CPU time an event',
          '`bench-kernel-consume 200000 EVENTS`; `cairn record` and splice beside `bench-syscall %s`.'
          % EVENTS, ['what', 'ns an event', 'cg'], rows)


def section_size(cairn, lttng):
    rows = []
    for name, patterns, goal in (('raw_syscalls, enter and exit', RAW, 85),
                                 ('getppid, its typed pair', PAIR, 60)):
        splice = Splice(cairn, patterns)
        splice.run(syscalls(cairn))
        theirs = splice.bytes / (2 * 8 * int(EVENTS) + 0.0)
        records(cairn, patterns, syscalls(cairn))
        stat = kernel_stat(cairn)
        ours = peers.stream_bytes(os.path.join(cairn.trace, 'kernel')) / stat['events']
        rows.append([name, '%.2f' % ours, '%.2f' % theirs, '%.0f %%' % (100 * ours / theirs),
                     '%d %%' % goal])
    table('Kernel: bytes an event', 'Stream files of the kernel\'s trace, state and packet heads '
          'counted, beside the pages that a trace.dat holds (uncompressed).',
          ['events', 'Cairn', 'pages', 'Cairn / pages', 'aim'], rows)


def section_print(cairn, lttng):
    rows = []
    loop = ['env', 'BENCH_REPS=3', cairn.bench('syscall'), '200000']
    for name, patterns, command in (('raw_syscalls', RAW, loop), ('getppid enter, exit', PAIR, loop),
                                    ('a mix', SCHED, ['sh', '-c', WORK])):
        splice = Splice(cairn, patterns)
        splice.run(command)
        dat = splice.dat()
        records(cairn, patterns, command, '--kernel-buffer', '64M')
        trace = os.path.join(cairn.work, 'kernel-trace')
        shutil.rmtree(trace, ignore_errors=True)
        shutil.copytree(os.path.join(cairn.trace, 'kernel'), trace)
        commands = {'Cairn trace, cairn print': [cairn.command, 'print', trace],
                    'trace.dat, cairn print': [cairn.command, 'print', dat],
                    'trace.dat, trace-cmd report': ['trace-cmd', 'report', '-i', dat]}
        if patterns != SCHED and optional('perf', lambda: perf_record(cairn, patterns, command)):
            commands['perf.data, perf script'] = ['perf', 'script', '-i',
                                                  os.path.join(cairn.work, 'perf.data')]
        for what, argv in commands.items():
            lines = peers.run(['sh', '-c', '"$@" 2>/dev/null | wc -l', 'sh'] + argv)
            o = optional(what, lambda: peers.objects(peers.run(
                peers.ON_BENCH_CPU + [cairn.bench('timeit'), str(ROUNDS)] + argv))[0])
            if o:
                rows.append(['%s: %s' % (name, what), lines.strip(),
                             '%.2f' % (int(lines) / median(o['ms']) / 1e3), spread(o['ms'], '%.0f'),
                             '%.2f' % (int(lines) / median(o['cpu_ms']) / 1e3), spread(o['cpu_ms'], '%.0f')])
    table('Kernel: printing recorded events as text', 'Output to /dev/null, one core. The mix: %s of '
          '`%s`. The CPU time is what a quiet machine takes by the clock.' % (', '.join(SCHED), WORK),
          ['what', 'lines', 'M lines/s', 'ms', 'M lines/s of CPU time', 'CPU ms'], rows)


def first_event_ms(cairn, options):
    """From the start of `cairn record` to the first event in its trace."""
    begin = time.time_ns()
    cairn.record(options, ['true'])
    line = peers.run([cairn.command, 'print', '--json', '-n', '1', '-e', 'sched:*',
                      os.path.join(cairn.trace, 'kernel')])
    return (peers.objects(line)[0]['time_ns'] - begin) / 1e6


def section_start(cairn, lttng):
    out = os.path.join(cairn.work, 'start')
    record = '%s record -o %s -k sched:sched_switch -- true' % (cairn.command, out)
    bpftrace = 'tracepoint:sched:sched_switch { @ = count(); } BEGIN { exit() }'
    where = '%s/instances/bench-start' % TRACING
    plain = 'mkdir {0} && echo 1 >{0}/events/sched/sched_switch/enable && echo >{0}/set_event && ' \
            'rmdir {0}'.format(where)
    same = 'mkdir {0} && cd {0} && echo 0 >tracing_on && echo x86-tsc >trace_clock && ' \
           'echo 8192 >buffer_size_kb && echo 1 >options/event-fork && echo $$ >set_event_pid && ' \
           'for e in sched/sched_switch task/task_newtask task/task_rename; do echo 1 >events/$e/enable; ' \
           'done && echo 1 >tracing_on && echo 0 >tracing_on && echo >set_event && cd / && ' \
           'rmdir {0}'.format(where)
    commands = {
        'true': ['true'],
        'sh: an instance made, one event on, removed': ['sh', '-c', plain],
        'sh: the same with the settings that ours has (clock, size, pid)': ['sh', '-c', same],
        'cairn record -k sched:sched_switch -- true': ['sh', '-c', 'rm -rf %s; exec %s' % (out, record)],
        'perf record -e sched:sched_switch -- true':
            ['perf', 'record', '-q', '-o', out + '.perf', '-e', 'sched:sched_switch', 'true'],
        'bpftrace, one line': ['bpftrace', '-e', bpftrace],
    }
    rows = []
    for what, argv in commands.items():
        done = optional(what, lambda: peers.objects(peers.run(
            peers.ON_BENCH_CPU + [cairn.bench('timeit'), str(ROUNDS)] + argv))[0])
        if done:
            rows.append([what, spread(done['ms'], '%.1f'), '%.1f' % (done['max_rss_kib'] / 1024)])
    first = [first_event_ms(cairn, ['-k', 'sched:sched_switch']) for _ in range(ROUNDS)]
    rows.insert(4, ['… to its first event', spread(first, '%.1f'), ''])
    table('Kernel: a whole command', None, ['command', 'ms', 'peak RSS, MiB'], rows)


SECTIONS = {
    'kernel-syscall': section_syscall,
    'kernel-filter': section_filter,
    'kernel-consume': section_consume,
    'kernel-size': section_size,
    'kernel-print': section_print,
    'kernel-start': section_start,
}
