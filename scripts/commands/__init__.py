"""The commands of `suptree`, one module a group."""
