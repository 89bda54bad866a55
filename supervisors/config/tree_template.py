"""The tree file that `suptree init` writes: it runs as it is, on a machine that has no more than a shell."""

TREE_TEMPLATE = '''\
# A suptree tree file.
#
#   suptree check FILE     says everything that is wrong with it
#   suptree up FILE        runs it; add -d to leave it in the background
#
# Children start in the order in which they stand here, and stop in reverse.
# Relative paths start from this file's folder.

[tree]
name = "fleet"

# The root supervisor needs no table; this one sets its own limit: more than 3 restarts within 60 seconds, and the tree gives up.
[supervisors.root]
max_restarts = 3
within = 60

# A supervisor restarts its children. When one ends:
#   one_for_one    it alone is restarted (the default)
#   one_for_all    all are stopped and started again
#   rest_for_one   it and those that stand after it are
[supervisors.pipeline]
strategy = "rest_for_one"
max_restarts = 5
within = 60

# A process_wrapper runs a program: `command` is the program alone, its arguments stand in `args`.
[agents.source]
type = "process_wrapper"
supervisor = "pipeline"
command = "sh"
args = ["-c", """
while true; do
    echo "source: $(date)"
    sleep 5
done
"""]

# This one fails after 20 seconds, so that there is something to see. Only it is restarted: nothing stands after it.
[agents.flaky]
type = "process_wrapper"
supervisor = "pipeline"
command = "sh"
args = ["-c", "echo 'flaky: working'; sleep 20; echo 'flaky: out of luck' >&2; exit 1"]
max_restarts = 10                 # of this agent alone; beyond it, it stays down as crashed, and its siblings live on
# healthy_after = 60              # seconds of life after which the restarts before are forgotten
backoff = true                    # the first restart comes immediately, later ones after 1, 2, 4 … up to 60 seconds
# backoff = { base = 0.5, cap = 30 }

# Under no supervisor of the file: the root's.
[agents.helper]
type = "process_wrapper"
role = "helper"
command = "sleep"
args = ["1000000"]
restart = "permanent"             # always restarted (the default); "transient": only after a failure; "temporary": never
env = { LANG = "C.UTF-8" }        # it inherits little more than PATH, HOME and the language: the rest stands here
# env_inherit = ["ANTHROPIC_API_KEY", "AWS_*"]   # or is named here, to be taken from the environment that suptree is started in
# env_from = "keys.env"           # or in a file of NAME=value lines that only you may read; read at each start
# user = "bot"                    # as whom it runs, if the tree runs as root
# umask = "0077"
# no_new_privs = true
# rlimits = { nofile = 1024, core = 0, as = "4G" }
stop = { cancel = 0, sigint = 1, sigterm = 5 }   # seconds for each rung before the next; SIGKILL comes last
limits = { memory_max = "512M" }    # also pids_max = 200, cpu_max = 1.5 (CPUs), max_runtime = 3600 (seconds), max_output = "1G"

# A program that speaks sd_notify says itself when it is ready, and may be watched for silence:
#
# [agents.server]
# type = "process_wrapper"
# command = "./server"
# args = ["--port", "8000"]
# ready = "notify"                # running when it says READY=1
# heartbeat = { dead_after = 30 } # restarted when it has not said WATCHDOG=1 for 30 seconds
# liveness_probe = { http_get = "http://127.0.0.1:8000/healthz", period = 10 }   # or tcp_socket, or exec = ["./is-well"]
# progress = { warn_after = 60, restart_after = 300 }   # seconds without output, STATUS= or CPU time

# One that reads its stdin gets a pipe, or with "pty" a terminal, for stdin and output alike; `suptree tell ID LINE` writes there:
#
# [agents.shell]
# type = "process_wrapper"
# command = "cat"
# stdin = "pipe"
# stop = { cancel = 2 }           # seconds after its stdin was closed, before SIGINT

# A native_llm is a Python object that runs in a process of its own:
#
# [agents.planner]
# type = "native_llm"
# factory = "newsroom.agents:Planner"
# role = "planner"
# config = { temperature = 0.2 }  # handed to the factory
# checkpoint_interval = 1         # seconds; for one that offers checkpoint() and restore()

# One that talks to a model, with pip install "suptree[llm]"; suptree ask assistant "Why is the sky blue?"
#
# [agents.assistant]
# type = "native_llm"
# factory = "suptree.actors.llm_agent:LLMAgent"
# role = "You answer in one sentence."
# model = "claude-sonnet-4.6"
# env_inherit = ["ANTHROPIC_API_KEY"]   # its key, from the environment that suptree is started in; or env_from = "keys.env"
# park = true                     # a rate limit waits until it is over
# config = { max_tokens = 100_000 }
'''
