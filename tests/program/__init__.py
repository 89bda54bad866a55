"""How the programs of agents are stopped and probed."""
