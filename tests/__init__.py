"""The tests: one room for each room of the packages, and a few for what goes through all of them."""
