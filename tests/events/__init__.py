"""What has happened: events, and the sentences made of them."""
