"""The comparison with Erlang's own supervisor."""
