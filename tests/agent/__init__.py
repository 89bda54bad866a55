"""What both kinds of agent share."""
