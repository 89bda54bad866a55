"""The sealed transport between the processes of one tree, and who is kept out by it."""
