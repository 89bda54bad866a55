"""What has happened: events, the sentences made of them, and the picture that they add up to."""
