"""Programs that do all that a program can do to its owner, run as agents; their ledger tells what is left of them."""
