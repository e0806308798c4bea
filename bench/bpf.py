"""The section of bench/run about probes: the same events made by tracefs and by BPF."""
import peers
from report import ROUNDS, Series, spread, table

CALLS = '50000'


def measure(cairn, kind, ways):
    """{way: Series}: processes of all ways alternate."""
    command = [cairn.bench('probed'), kind, CALLS]
    series, lost = {w: Series() for w in ways}, {w: [0, 0] for w in ways}
    for _ in range(ROUNDS):
        for way, options in ways.items():
            if options is None:
                series[way].add(peers.objects(peers.run(command)))
                continue
            series[way].add(cairn.record(options, command))
            stat = cairn.stat(cairn.trace + '/kernel')
            lost[way][0] += sum(stat['lost'].values())
            lost[way][1] += stat['events']
    return series, lost


def rows_of(series, lost, base, against):
    rows = []
    plain = series[base].medians()
    other = [a - b for a, b in zip(series[against].medians(), plain)]
    for way, s in series.items():
        added = [a - b for a, b in zip(s.medians(), plain)]
        times = [a / b for a, b in zip(added, other)]
        rows.append([way, s.ns()] + (['', '', ''] if way == base else [
            spread(added, '%+.0f'), spread(times) if way != against else '1',
            '%d of %d' % (lost[way][0], sum(lost[way]))]))
    return rows


def section_bpf(cairn, lttng):
    head = ['how', 'ns a call', 'added ns', 'times tracefs\'s', 'events lost']
    place = cairn.bench('probed') + ':probed_function'
    uprobe = ['--uprobe', 'plain=' + place]
    full = ['--uprobe', 'full=' + place + ' number=$arg1:s64 text=+0($arg2):string']
    series, lost = measure(cairn, 'function', {
        'not probed': None,
        'tracefs, no field': ['--probe-with', 'tracefs'] + uprobe,
        'BPF, no field': ['--probe-with', 'bpf'] + uprobe,
        'tracefs, number and text': ['--probe-with', 'tracefs'] + full,
        'BPF, number and text': ['--probe-with', 'bpf'] + full})
    rows = rows_of({w: s for w, s in series.items() if 'text' not in w}, lost, 'not probed',
                   'tracefs, no field')
    rows += rows_of({w: s for w, s in series.items() if 'field' not in w}, lost, 'not probed',
                    'tracefs, number and text')[1:]
    table('Probes: a uprobe by tracefs and by BPF',
          '`bench-probed function %s`, recorded to disk by `cairn record --uprobe`.' % CALLS, head, rows)
    series, lost = measure(cairn, 'syscall', {
        'not recorded': None,
        'tracefs event raw_syscalls:sys_enter': ['-k', 'raw_syscalls:sys_enter'],
        'BPF tprobe sys_enter, no field': ['--tprobe', 'sys_enter', '--probe-with', 'bpf'],
        'BPF tprobe sys_enter, id and 6 arguments': [
            '--tprobe', 'sys_enter id a=regs->di b=regs->si c=regs->dx d=regs->r10 e=regs->r8 '
            'f=regs->r9', '--probe-with', 'bpf']})
    table('Probes: a tracepoint by tracefs and by BPF',
          '`bench-probed syscall %s`. This kernel\'s tracefs has no tprobes, so its own event of the '
          'same tracepoint is compared.' % CALLS, head,
          rows_of(series, lost, 'not recorded', 'tracefs event raw_syscalls:sys_enter'))


SECTIONS = {'bpf': section_bpf}
