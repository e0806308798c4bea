"""What the checks look at: every source file of the tree, with or without git."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOPS = ('include', 'src', 'tests', 'bench', 'tools', 'examples', 'docs', '.ci')


def files(suffixes, tops=TOPS):
    """Paths, relative to the root and sorted, of all files with one of these suffixes."""
    found = []
    for top in tops:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if f != '__pycache__' and not f.startswith('build')]
            found += [os.path.relpath(os.path.join(folder, n), ROOT)
                      for n in names if n.endswith(suffixes)]
    return sorted(found)


def read(path):
    """The text of one file of the tree."""
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as f:
        return f.read()


def finish(what, checked, problems):
    """Prints TAP, one line for the whole check, and exits accordingly."""
    for p in problems:
        print('# ' + p)
    print('%sok 1 - %s (%d looked at)' % ('not ' if problems else '', what, checked))
    print('1..1')
    sys.exit(1 if problems else 0)
