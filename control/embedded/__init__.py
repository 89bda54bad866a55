"""What a program that embeds a tree holds in its hands."""
