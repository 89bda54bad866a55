"""Pings, deadlines and hangs."""
