"""What comes next for one child: its states, the rules, the delays, and the words in which a core hears and orders."""
