"""Random cases in subprocesses, so that a crash or a hang is one result among others."""

from __future__ import annotations

import argparse
import collections
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable

HANG_S = 60  # 3000 Newton steps of an ill-conditioned array take up to 40 s before they are refused
BAD = ("crashed", "hung", "raised another error", "wrong")


def run_cases(doc: str, prepare: Callable[[int], Callable[[int], str]]) -> int:
    """Run `--cases` cases of `--seed`, print how many had which result; 1 if any is in `BAD`.

    Parameters
    ----------
    doc : str
        Of the script.
    prepare : callable
        Takes the seed and returns a function from the number of a case to its result: a word of
        `BAD` or another, and after a colon what else is to be printed. Called in a subprocess,
        where warnings are errors.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.first is not None:
        _work(prepare(arguments.seed), range(arguments.first, arguments.cases))
        return 0
    found: collections.Counter[str] = collections.Counter()
    case = 0
    while case < arguments.cases:
        process = subprocess.run(
            [sys.executable, *sys.argv, "--first", str(case)],
            capture_output=True,
            text=True,
            check=False,
        )
        results = process.stdout.splitlines()
        if results[:1] != ["ready"]:
            sys.exit(process.stderr)
        del results[0]
        if case + len(results) < arguments.cases:
            results.append("hung" if process.returncode == -signal.SIGALRM else "crashed")
        for result in results:
            what = result.partition(":")[0]
            found[what] += 1
            if what in BAD:
                print(f"case {case}: {result}")
            case += 1
    for name, count in sorted(found.items()):
        print(f"{count:6d} {name}")
    return int(any(found[name] for name in BAD))


def _work(result_of: Callable[[int], str], cases: range) -> None:
    """Run the cases in this process; a line for each."""
    warnings.simplefilter("error")
    print("ready", flush=True)
    for case in cases:
        signal.alarm(HANG_S)
        result = result_of(case)
        signal.alarm(0)
        print(result, flush=True)
