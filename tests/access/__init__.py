"""What an agent is given and kept from: environment, users, limits, and the modes of files."""
