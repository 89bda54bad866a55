import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "supervisors", "control", "scripts", "testing")
SHELL_SCRIPTS = {"suptree/scripts/demo", "suptree/scripts/environment.sh", "suptree/scripts/test"}
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel as pip builds it, from a copy: setuptools leaves folders behind where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run([*build, "--wheel-dir", folder, source], capture_output=True, text=True, timeout=100, check=False)
    assert (0, "") == (done.returncode, done.stdout), done.stderr
    [path] = folder.glob("*.whl")
    with ZipFile(path) as archive:
        yield archive


def in_dist_info(wheel: ZipFile, name: str) -> bytes:
    [path] = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path)


def metadata(wheel: ZipFile) -> Message:
    return message_from_bytes(in_dist_info(wheel, "METADATA"))


def entry_points(wheel: ZipFile) -> dict[str, dict[str, str]]:
    parser = ConfigParser()
    parser.read_string(in_dist_info(wheel, "entry_points.txt").decode())
    return {group: dict(parser[group]) for group in parser.sections()}


def test_the_wheel_holds_what_stands_in_the_five_packages_and_nothing_else(wheel: ZipFile) -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]

    expected = {f"suptree/{path.relative_to(ROOT)}" for path in sources} - SHELL_SCRIPTS
    assert expected == {path for path in wheel.namelist() if ".dist-info/" not in path}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_that_it_is_typed(wheel: ZipFile, package: str) -> None:
    assert f"suptree/{package}/py.typed" in wheel.namelist()


def test_suptree_is_a_namespace_without_code_of_its_own(wheel: ZipFile) -> None:
    assert [] == [path for path in wheel.namelist() if path.count("/") == 1 and path.startswith("suptree/")]


def test_the_metadata_names_the_licence_and_the_oldest_python(wheel: ZipFile) -> None:
    head = metadata(wheel)

    assert ("suptree", "MIT", ">=3.11") == (head["Name"], head["License-Expression"], head["Requires-Python"])


def test_the_licence_is_enclosed(wheel: ZipFile) -> None:
    assert (ROOT / "LICENSE").read_bytes() == in_dist_info(wheel, "licenses/LICENSE")


def test_the_command_and_the_pytest_plugin_are_announced(wheel: ZipFile) -> None:
    expected = {"console_scripts": {"suptree": "suptree.scripts.main:main"}, "pytest11": {"suptree": "suptree.testing.plugin"}}
    assert expected == entry_points(wheel)


def test_what_is_announced_is_there(wheel: ZipFile) -> None:
    modules = {target.partition(":")[0] for group in entry_points(wheel).values() for target in group.values()}

    missing = {module for module in modules if module.replace(".", "/") + ".py" not in wheel.namelist()}
    assert set() == missing


def test_installing_brings_the_libraries_that_running_needs_and_no_tools(wheel: ZipFile) -> None:
    required = {line.split(">")[0].split("<")[0] for line in metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in line}

    expected = {"click", "httpx", "psutil", "pydantic", "rich", "sse-starlette", "starlette", "structlog", "thespian", "uvicorn"}
    assert expected == required
