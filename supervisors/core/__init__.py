"""The decisions of one supervisor: events in, commands out, without I/O, clock or Thespian."""
