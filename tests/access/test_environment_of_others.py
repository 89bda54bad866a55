"""What an agent can read of the environments of others: of its own user's all, of another user's and of ours none."""

import asyncio
import contextlib
import json
from functools import partial

from suptree.control.client.client import Client
from suptree.testing import LiveTree

from .other_user import PYTHON, needs_root

WITHIN = 60.0
pytestmark = needs_root

# Which processes of the run it can read the environment of, by their agents; and whether of any of ours.
READS = """
import json, os, time
found = set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        variables = dict(line.split("=", 1) for line in open(f"/proc/{pid}/environ").read().split("\\0") if "=" in line)
    except OSError:
        continue
    if variables.get("SUPTREE_RUN_ID") == os.environ["SUPTREE_RUN_ID"]:
        found.add(variables.get("SUPTREE_AGENT_ID", "ours") + " " + variables.get("API_KEY", ""))
print("can read", json.dumps(sorted(found)), flush=True)
time.sleep(1000)
"""


def table(agent: str, user: str, program: str = "import time; time.sleep(1000)") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
command = "{PYTHON}"
args = {json.dumps(["-SE", "-c", program])}
cwd = "/"
user = "{user}"
env = {{ API_KEY = "key-of-{agent}" }}
stop = {{ cancel = 0, sigint = 0, sigterm = 0.5 }}
"""


def test_an_agent_reads_the_environment_of_agents_of_its_user_and_of_nobody_else() -> None:
    # Children start one after the other: those that are read are there when the others look.
    text = table("victim", "nobody") + table("other", "daemon") + table("same", "nobody", READS) + table("third", "daemon", READS)
    with LiveTree(text) as tree:
        tree.wait_until_all_run(WITHIN)

        async def what_it_read(client: Client, agent: str) -> list[str]:
            async with asyncio.timeout(WITHIN), contextlib.aclosing(client.follow_log(agent, 10)) as lines:
                async for line in lines:
                    if "can read " in line:
                        return sorted(entry.partition(" ")[0] for entry in json.loads(line.partition("can read ")[2]))
            raise AssertionError(agent)

        same, third = (tree.ask(partial(what_it_read, agent=agent)) for agent in ("same", "third"))
    assert (["same", "victim"], ["other", "third"]) == (same, third)
