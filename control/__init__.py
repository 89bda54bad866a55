"""What people reach the tree through: the launcher, its control API, and the clients."""
