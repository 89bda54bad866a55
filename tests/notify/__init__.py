"""The sd_notify protocol and its sockets."""
