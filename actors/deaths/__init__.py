"""One death, in the order in which it passes through.

1. `exit_classes`: what an exit status, a signal or the agent's own word means.
2. `evidence`: what is found before the incarnation is buried.
3. `death_recorder`: the registry hears the event of the end, and of what was decided.
4. `causes`, `what_follows`, `advice`: what happened, what comes next and what a person can do, in words.
5. `post_mortem`, `post_mortem_files`: the story of the death, and the file that keeps it.
6. `explanation`: what `suptree explain` answers.
"""
