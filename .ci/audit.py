"""Asks whether any installed package has a known vulnerability: exits 1 when one has, and says so when nobody could be asked.

    python .ci/audit.py [FILE]

FILE is an answer of pip-audit to judge, instead of asking for one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIMIT = 120
_OURS = "suptree"


def main() -> int:
    """Judge, in one line for what was asked and one for each finding."""
    answer = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else _ask()
    lines, status = judge(answer)
    print("\n".join(lines))
    return status


def _ask() -> str:
    """What pip-audit prints; it exits 1 for a finding as well as for having no network, so only its answer tells."""
    command = [str(Path(sys.executable).parent / "pip-audit"), "--local", "--progress-spinner", "off", "--format", "json"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def judge(answer: str) -> tuple[list[str], int]:
    """The lines that tell what an answer means, and the exit status. To have asked nobody is no failure, and no all-clear either."""
    try:
        packages: list[dict[str, Any]] = [each for each in json.loads(answer)["dependencies"] if each["name"] != _OURS]
    except (ValueError, KeyError, TypeError):
        packages = []
    asked = [each for each in packages if "vulns" in each]
    if not asked:
        return ["NOT audited: the vulnerability service could not be asked about any package"], 0
    found = [
        f"{each['name']} {each['version']}: {fault['id']}; fixed in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for each in asked
        for fault in each["vulns"]
    ]
    unknown = sorted(each["name"] for each in packages if "vulns" not in each)
    about = f"{len(asked)} packages audited, {len(found)} vulnerabilities" + (f"; not known there: {', '.join(unknown)}" if unknown else "")
    return [about, *found], 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
