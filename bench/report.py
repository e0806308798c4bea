"""What all sections of bench/run share: where things are, how often, samples, ratios, tables."""
import os
import statistics
import sys
import peers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, 'build-bench')
ROUNDS = int(os.environ.get('BENCH_ROUNDS', '7'))
EVENTS = os.environ.get('BENCH_EVENTS', '300000')
READ_EVENTS = int(os.environ.get('BENCH_READ_EVENTS', '10000000'))
median = statistics.median


def say(text):
    print('bench: ' + text, file=sys.stderr, flush=True)


def table(title, note, head, rows):
    print('\n### %s\n' % title)
    if note:
        print(note + '\n')
    print('| ' + ' | '.join(head) + ' |')
    print('|' + '|'.join(['---'] + ['---:'] * (len(head) - 1)) + '|')
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    sys.stdout.flush()


class Series:
    """Samples of one thing from several processes."""

    def __init__(self):
        self.runs = []  # one list of (ns, cg) a process

    def add(self, found):
        self.runs.append([(ns, cg) for o in found for ns, cg in zip(o['ns'], o['cg'])])

    def medians(self):
        return [median(ns for ns, _ in r) for r in self.runs]

    def ns(self):
        m = self.medians()
        return '%.2f (%.2f–%.2f)' % (median(ns for r in self.runs for ns, _ in r), min(m), max(m))

    def cg(self):
        return '%.2f' % median(ns / cg for r in self.runs for ns, cg in r)


def ratio(theirs, ours, form='%.1f×'):
    """Median over the rounds of theirs / ours."""
    pairs = [t / o for t, o in zip(theirs, ours) if o > 0]
    return form % median(pairs) if pairs else '-'


def spread(values, form='%.2f'):
    return (form + ' (' + form + '–' + form + ')') % (median(values), min(values), max(values))


def time_commands(rounds, runs, commands):
    """{name: (command, env)}: milliseconds of each, alternating."""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (command, env) in commands.items():
            o = peers.objects(peers.run(peers.ON_BENCH_CPU + [os.path.join(BUILD, 'bench/bench-timeit'),
                                                              str(runs)] + command, env))[0]
            times[name] += o['ms']
    return times
