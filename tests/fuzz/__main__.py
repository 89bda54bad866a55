"""Fuzzes one target until its time is over, or it has had its inputs: exits 0 when nothing was found.

Else it leaves what was found in a file, and says where.


    python -m tests.fuzz --seconds 600 TARGET
    python -m tests.fuzz --replay FILE TARGET

What is wrong is an exception that the target does not expect, an input that takes longer than ten seconds, and memory without end.
A file that was found becomes a case in `FOUND` in `tests/fuzz/test_fuzz.py` when what it found is fixed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import atheris

from suptree.actors.kernel.linux import bound_to_us

from .targets import TARGETS

_SECONDS_FOR_AN_INPUT = 10
_MEGABYTES = 1024


def main() -> None:
    """Run libFuzzer in a process of its own, because it ends that without cleaning up; exit as it does."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inputs", type=int, default=-1, help="end after so many inputs, if that comes before the seconds are over")
    parser.add_argument("--found", type=Path, default=Path(tempfile.gettempdir()), help="the folder for inputs that find something")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what reached something new, for the next run")
    parser.add_argument("--replay", type=Path, help="run this one input, and end")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="suptree-fuzz-") as scratch:
        die_with_us = bound_to_us()
        child = os.fork()
        if child == 0:
            die_with_us()
            tempfile.tempdir = scratch
            _fuzz(given, Path(scratch))
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def _fuzz(given: argparse.Namespace, scratch: Path) -> NoReturn:
    target = TARGETS[given.target]
    with atheris.instrument_imports(include=list(target.instrumented), enable_loader_override=False):
        one_input = target.make()
    kept = given.corpus or scratch / "corpus"
    kept.mkdir(parents=True, exist_ok=True)
    seeds = scratch / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    words = scratch / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    options = [
        f"-max_total_time={given.seconds}",
        f"-runs={given.inputs}",
        f"-timeout={_SECONDS_FOR_AN_INPUT}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-max_len={target.longest}",
        f"-dict={words}",
        f"-artifact_prefix={given.found}/{given.target}-",
        "-print_final_stats=1",
    ]
    inputs = [str(given.replay)] if given.replay else [str(kept), str(seeds)]
    atheris.Setup([sys.argv[0], *options, *inputs], one_input)
    atheris.Fuzz()
    os._exit(0)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
