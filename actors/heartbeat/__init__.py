"""Who has gone silent: the heartbeat actor and its deadlines."""
