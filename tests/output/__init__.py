"""What agents print: read, cut into lines, cleaned of secrets, kept, and read again."""
