"""The tables in docs/semantics.md, made from the tables in the code: `python -m tests.core.semantics_tables` writes them anew."""

import pathlib

from suptree.supervisors.decisions.backoff import JITTER
from suptree.supervisors.decisions.child import TRANSITIONS, ChildState, Step
from suptree.supervisors.decisions.fingerprint import ALIKE_LIMIT
from suptree.supervisors.decisions.park import DEFAULT_RETRY_AFTER, LEAST_SPREAD, LEAST_WAIT, SPREAD
from suptree.supervisors.decisions.rules import OWN_RULES, RESTARTS
from suptree.supervisors.spec.child_spec import Backoff, ChildSpec, RestartType

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "semantics.md"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def restart_types() -> str:
    """OTP's table."""
    rows = [[f"`{r.value}`", *("restarted" if RESTARTS[r, normal] else "left down" for normal in (True, False))] for r in RestartType]
    return table(["restart type", "`normal`, `shutdown`", "any other exit class"], rows)


def transitions() -> str:
    """The states of a child."""
    rows = [[f"`{s.value}`", *(f"`{TRANSITIONS[s][step].value}`" if step in TRANSITIONS[s] else "" for step in Step)] for s in ChildState]
    return table(["", *(step.value.replace("_", " ") for step in Step)], rows)


def own_rules() -> str:
    """The rules that a child's spec turns on."""
    return table(["if the spec has …", "decision"], [[str(rule.__doc__), f"`{decision.value}`"] for rule, decision in OWN_RULES])


def numbers() -> str:
    """The constants of the policies."""
    backoff, forgets_after = Backoff(), ChildSpec(id="a").forgets_after
    rows = [
        ["backoff before restart 1 in a row", "none"],
        [
            "backoff before restart n in a row",
            f"min({backoff.cap:g} s, {backoff.base:g} s · 2^(n-2)) · uniform({JITTER[0]:g}, {JITTER[1]:g}); base and cap by the spec",
        ],
        [
            "restarts in a row are forgotten after",
            f"{forgets_after:g} s of life; `healthy_after` of the child or of its backoff",
        ],
        ["failures alike that are held", f"{ALIKE_LIMIT}; forgotten after the same time"],
        ["park that does not say how long", f"{DEFAULT_RETRY_AFTER:g} s"],
        ["shortest park", f"{LEAST_WAIT:g} s"],
        ["spread of a park", f"up to {SPREAD:.0%} of the wait later, at least {LEAST_SPREAD:g} s"],
    ]
    return table(["what", "how much"], rows)


TABLES = {"restart types": restart_types, "transitions": transitions, "own rules": own_rules, "numbers": numbers}


def renewed(page: str) -> str:
    """The page with its tables as the code has them."""
    for name, make in TABLES.items():
        begin = f"<!-- table: {name} -->\n"
        before, rest = page.split(begin)
        _, after = rest.split("<!-- end of table -->", maxsplit=1)
        page = f"{before}{begin}{make()}\n<!-- end of table -->{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
