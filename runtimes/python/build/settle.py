"""Makes installed files the same in every build: compiles what is not compiled, without times inside, then sets
all times to 1980 (the first that a zip can hold). The root file system is read-only when it serves, so that what
is not compiled here would be compiled at every start."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import cache_from_source
from py_compile import PyCompileError, PycInvalidationMode, compile

EPOCH = 315532800


def compiled(path):
    try:
        compile(path, doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    except (PyCompileError, ValueError):
        # Packages ship templates and files for other versions of Python; nobody imports them here.
        pass


def settle(path):
    if os.lstat(path).st_mtime != EPOCH:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def main(root):
    sources = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(".py") and not os.path.exists(cache_from_source(os.path.join(folder, name)))
    ]
    with ProcessPoolExecutor() as pool:
        list(pool.map(compiled, sources, chunksize=32))
    for folder, folders, names in os.walk(root):
        # Links to folders are listed among these.
        for name in folders + names:
            settle(os.path.join(folder, name))
        settle(folder)


if __name__ == "__main__":
    main(sys.argv[1])
