"""Agents that speak of themselves from their first moment, below a supervisor that is watched itself."""

from suptree.testing.live_tree import LiveTree

CHATTERS = """
import asyncio

class Chatter:
    def update_heartbeat(self, text):
        pass
    async def run(self):
        number = 0
        while True:
            number += 1
            self.update_heartbeat(f"status {number}")
            await asyncio.sleep(0.01)

def make(*_):
    chatter = Chatter()
    return chatter
"""
TREE = """
[supervisors.group]
""" + "".join(
    f"""
[agents.n{number}]
type = "native_llm"
factory = "chatters_of_the_test:make"
supervisor = "group"
"""
    for number in range(12)
)


def test_what_a_young_agent_says_ends_no_supervisor() -> None:
    tree = LiveTree(TREE)
    (tree.home / "chatters_of_the_test.py").write_text(CHATTERS)
    with tree:
        for _ in range(5):
            tree.ask(lambda client: client.restart("group"))
        tree.wait_until_all_run(within=30)
        assert [("root", 1, None), ("group", 6, "shutdown")] == [
            (row["id"], row["incarnation"], (row["last_exit"] or {}).get("class")) for row in tree.status()["supervisors"]
        ]
