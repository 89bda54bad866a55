"""The sealed transport between the processes of one tree."""
