"""What the two kinds of agent actor share."""
