"""One death, in this order: exit_classes, evidence, death_recorder, causes, what_follows, advice, post_mortem (its files), explanation."""
