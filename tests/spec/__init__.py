"""What an agent is and what it is given, as its table says it."""
