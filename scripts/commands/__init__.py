"""The commands of `suptree`, one module a group."""

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Watch a fleet that crashes, hangs and is killed on purpose, and recovers."),
    "init": ("tree_commands", "Write a commented tree file to begin with."),
    "check": ("tree_commands", "Validate a tree file, and look for what it needs on this machine; all faults are shown together."),
    "up": ("tree_commands", "Run the tree of a file: in the foreground with live events, or in the background."),
    "down": ("tree_commands", "Stop everything, in order, and say what is left."),
    "status": ("status_command", "Where every agent stands, or one."),
    "tree": ("view_commands", "The supervision tree as a tree."),
    "events": ("view_commands", "What has happened in this run."),
    "explain": ("explain", "Say why ID died, what was decided, and what can be done; or what would happen if it crashed."),
    "doctor": (
        "doctor",
        "Say what this machine offers a tree, running ones and that of FILE too, and what it means; exits 1 when no tree can run here.",
    ),
    "token": ("token_command", "Print the token that opens the control API on TCP (`up --listen`), made when it is first asked for."),
    "key": ("key_command", "Say where a tree's own key is kept, and its fingerprint; the key itself is shown to nobody."),
    "start": ("agent_commands", "Start what is stopped, crashed or held; returns when it runs."),
    "stop": ("agent_commands", "Stop it by its stop ladder, and keep it stopped; returns when it is down. A second stop skips a rung."),
    "restart": ("agent_commands", "Stop it if it runs, and start it; returns when it runs."),
    "kill": ("agent_commands", "Stop it with SIGKILL, without grace, and keep it stopped."),
    "tell": ("agent_commands", "Write a line to its stdin, where that is a pipe or a terminal; a native agent's handle() gets it."),
    "ask": ("agent_commands", "Ask a native agent something, and print its reply as it comes."),
    "logs": ("logs", "What an agent printed: time, incarnation, stream, text; also of a tree that has ended."),
}
"""Of each command its module in this room, which is imported when the command is given, and the first sentence of its help."""
