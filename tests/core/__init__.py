"""The decisions of one supervisor, without any process."""
