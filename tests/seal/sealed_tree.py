"""A tree with agents of both kinds, one supervisor below another."""

from pathlib import Path

from suptree.testing import LiveTree

AGENTS = Path(__file__).parents[1] / "agents"
TREE = """
[tree]
name = "sealed"
[supervisors.team]
max_restarts = 1000
within = 1
[agents.worker]
type = "process_wrapper"
supervisor = "team"
command = "sleep"
args = ["1000000"]
[agents.thinker]
type = "native_llm"
supervisor = "team"
factory = "health_agents:Well"
[agents.victim]
type = "process_wrapper"
supervisor = "team"
command = "sleep"
args = ["1000000"]
"""


def fleet(*, listen: str | None = None) -> LiveTree:
    """Not running yet; `listen` has it serve the control API on TCP too."""
    return LiveTree(TREE, sys_path=[str(AGENTS)], listen=listen)
