"""The parts of a supervisor actor, each alone."""
