"""How children are started, restarted and stopped, and the shape of a whole tree."""
