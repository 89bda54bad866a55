"""A fleet of real programs, under a storm of random kills: a long test with a command of its own (`python -m tests.fleet`)."""
