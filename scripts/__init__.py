"""What people launch: the command line, one module a command group."""
