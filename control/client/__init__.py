"""The clients of a launcher: for the command line, and for programs that embed a tree."""
