import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.polling import poll_until

SCRIPTS = Path(__file__).parents[2] / "scripts"

# Each of these ends before an environment is made.


def run(script: Path, cwd: Path, **environment: str) -> tuple[int, str]:
    """Exit status and what was said."""
    done = subprocess.run([script], cwd=cwd, env=environment, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stderr


def fake_python(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["demo", "test"])
def test_a_python_that_does_not_run_is_named(tmp_path: Path, name: str) -> None:
    expected = "suptree: PYTHON=/no/python cannot be used: /no/python does not run\n"
    assert (1, expected) == run(SCRIPTS / name, tmp_path, PATH=os.environ["PATH"], PYTHON="/no/python")


def test_for_a_python_that_is_too_old_it_says_what_is_needed(tmp_path: Path) -> None:
    old = fake_python(tmp_path, "old", "echo 3.9; exit 1")

    expected = f"suptree: PYTHON={old} cannot be used: {old} is Python 3.9, and 3.11 or later is needed\n"
    assert (1, expected) == run(SCRIPTS / "demo", tmp_path, PATH=os.environ["PATH"], PYTHON=str(old))


def test_for_a_python_that_makes_no_environments_it_says_what_to_install(tmp_path: Path) -> None:
    bare = fake_python(tmp_path, "bare", f'case "$*" in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"')

    status, said = run(SCRIPTS / "demo", tmp_path, PATH=os.environ["PATH"], PYTHON=str(bare))

    advice = f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv\n"
    assert (1, True) == (status, said.endswith(advice))


def test_the_scripts_work_through_a_link_from_any_folder(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(SCRIPTS / "demo")

    status, said = run(link, tmp_path, PATH=os.environ["PATH"], PYTHON="/no/python")

    assert (1, True) == (status, said.startswith("suptree: PYTHON=/no/python cannot be used"))


def test_the_demo_interrupted_while_it_prepares_says_that_nothing_is_left(tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    slow = fake_python(tmp_path, "slow", f"touch {reached}; exec sleep 60")

    with subprocess.Popen(
        [SCRIPTS / "demo"],
        env={"PATH": os.environ["PATH"], "PYTHON": str(slow)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        poll_until(reached.exists)
        os.killpg(demo.pid, signal.SIGINT)
        said = demo.communicate(timeout=20)[0]

    assert (0, "demo: interrupted, 0 processes left\n") == (demo.returncode, said)
