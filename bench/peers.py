"""Starting the tracers that are compared, and looking at what they leave: Cairn and LTTng-UST."""
import json
import os
import re
import shutil
import subprocess
import tempfile

TOOL_CPU = os.environ.get('TOOL_CPU', '0')
BENCH_CPU = os.environ.get('BENCH_CPU', '1')
ON_TOOL_CPU = ['taskset', '-c', TOOL_CPU]
ON_BENCH_CPU = ['taskset', '-c', BENCH_CPU]


def run(command, env=None, **kw):
    """Runs a command to its end; its standard output. Raises with its stderr if it fails."""
    done = subprocess.run(command, env={**os.environ, 'BENCH_CPU': BENCH_CPU, **(env or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, **kw)
    if done.returncode:
        raise RuntimeError('%s: exit %d: %s' % (' '.join(command), done.returncode,
                                                (done.stderr + done.stdout).strip()[-600:]))
    return done.stdout


def objects(text):
    """The JSON objects, one a line, among other output."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"')]


def wait_until(what, ready, seconds=10):
    """Asks ready() until it is true; a deadline, not a measurement."""
    import time
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(what + ': not ready in time')
        time.sleep(.02)


def succeeds(command, env=None):
    return subprocess.run(command, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          capture_output=True).returncode == 0


def stream_bytes(folder):
    """Bytes of all stream files of a CTF trace below folder."""
    total = 0
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f != 'index']
        total += sum(os.path.getsize(os.path.join(where, n))
                     for n in names if n != 'metadata' and not n.endswith(('.json', '.idx')))
    return total


class Daemon:
    """A background process that is ended, and waited for, on leaving."""

    def __init__(self, command, ready, env=None):
        self.env = env or {}
        self.process = subprocess.Popen(ON_TOOL_CPU + command, env={**os.environ, **self.env},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        try:
            wait_until(command[0], lambda: succeeds(ready, self.env))
            if self.process.poll() is not None:
                raise RuntimeError('another %s runs already: end it first' % command[0])
        except RuntimeError:
            self.stop()
            raise

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Cairn:
    """Our side: the commands of one build folder."""

    def __init__(self, build, work):
        self.build, self.work = os.path.abspath(build), work
        self.command = os.path.join(self.build, 'cairn')
        self.trace = os.path.join(work, 'cairn-trace')

    def bench(self, name):
        return os.path.join(self.build, 'bench', 'bench-' + name)

    def record(self, options, command, env=None):
        """Records a command into self.trace; the command's measurements."""
        shutil.rmtree(self.trace, ignore_errors=True)
        return objects(run(ON_TOOL_CPU + [self.command, 'record', '-o', self.trace] + options +
                           ['--'] + command, env))

    def stat(self, trace=None):
        return json.loads(run([self.command, 'stat', '--json', trace or self.trace]))

    def daemon(self):
        return Daemon([self.command, 'daemon'], [self.command, 'session', 'list'])

    def session(self, *words):
        return run([self.command, 'session', *words])


class Lttng:
    """The opponent: a session daemon of our own, sessions one at a time."""

    def __init__(self, work):
        self.work = work
        self.env = {'LTTNG_HOME': os.path.join(work, 'lttng-home')}
        os.makedirs(self.env['LTTNG_HOME'], exist_ok=True)
        self.trace = os.path.join(work, 'lttng-trace')
        self.lost = 0

    def daemon(self):
        return Daemon(['lttng-sessiond', '--no-kernel'], ['lttng', 'list'], self.env)

    def start(self, mode, event, context=(), subbuf='1M', count='4', buffers='uid'):
        shutil.rmtree(self.trace, ignore_errors=True)
        create = ['--output=' + self.trace] + (['--snapshot'] if mode == 'overwrite' else [])
        how = {'overwrite': '--overwrite', 'discard': '--discard',
               'block': '--blocking-timeout=inf'}[mode]
        self._do('create', 'bench', *create)
        self._do('enable-channel', '-u', how, '--subbuf-size=' + subbuf, '--num-subbuf=' + count,
                 '--buffers-' + buffers, 'ch')
        for c in context:
            self._do('add-context', '-u', '-c', 'ch', '-t', c)
        self._do('enable-event', '-u', '-c', 'ch', 'bench:' + event)
        self._do('start')

    def stop(self):
        text = self._do('stop')
        text += self._do('list', 'bench')
        found = re.findall(r'(\d+) events? (?:were |was )?discarded', text)
        self.lost = max([int(n) for n in found], default=0)
        self._do('destroy', 'bench')

    def _do(self, *words):
        return run(['lttng', *words], self.env)


def scratch():
    return tempfile.TemporaryDirectory(prefix='cairn-bench-')
