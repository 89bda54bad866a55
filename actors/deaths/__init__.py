"""One death, in the order in which it passes through: classed, proved, explained, written down."""
