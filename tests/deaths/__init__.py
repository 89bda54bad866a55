"""How a death is classed, explained and written down."""
