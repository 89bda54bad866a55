"""Native agents: created, asked, checkpointed."""
