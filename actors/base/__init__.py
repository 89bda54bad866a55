"""What every actor stands on: its loop, its channels to other actors, and the messages that go through them."""
