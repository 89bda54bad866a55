"""Supervisors side by side: the same program under each, in one run."""
