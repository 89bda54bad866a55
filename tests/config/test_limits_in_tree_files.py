"""What a tree file says of limits, and when they are refused."""

import pytest

from suptree.actors.errors import ConfigError

from .parsing import Parse, Refuse


def test_a_limit_that_a_slow_backoff_keeps_from_firing_is_refused(refuse: Refuse) -> None:
    [(place, what)] = refuse("""\
        [supervisors.root]
        max_restarts = 5
        within = 5
        [agents.a]
        type = "process_wrapper"
        command = "sh"
        backoff = true
    """)

    assert ("agents.a.backoff (line 7)", "the limit of 5 restarts within 5 s could never be exceeded") == (
        place,
        what.partition(":")[0],
    )


@pytest.mark.parametrize(("agents", "fits"), [(1, False), (6, False), (7, True)])
def test_a_limit_is_not_refused_that_many_agents_exceed_together(parse: Parse, agents: int, fits: bool) -> None:
    text = "[supervisors.root]\nmax_restarts = 50\nwithin = 60\n" + "".join(
        f'[agents.a{n}]\ntype = "process_wrapper"\ncommand = "sh"\nbackoff = true\n' for n in range(agents)
    )
    if fits:
        assert agents == len(parse(text).root.children)
        return
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert ["agents.a0.backoff (line 7)"] == [place for place, _ in refused.value.problems]


def test_a_limit_is_not_refused_that_a_sibling_without_a_backoff_exceeds(parse: Parse) -> None:
    spec = parse("""\
        [supervisors.root]
        max_restarts = 50
        within = 60
        [supervisors.below]
        [agents.a]
        type = "process_wrapper"
        command = "sh"
        backoff = true
    """)
    assert ["below", "a"] == [child.id for child in spec.root.children]


def test_health_is_given_for_the_agent_or_for_its_backoff_and_not_for_both(parse: Parse, refuse: Refuse) -> None:
    text = '[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\nmax_restarts = 2\n'
    assert [60.0, 10.0, 20.0] == [
        parse(text + more).root.children[0].forgets_after
        for more in ("", "healthy_after = 10", "backoff = { healthy_after = 20 }\n[supervisors.root]\non_limit = 'quarantine'")
    ]
    assert [("agents.a.healthy_after (line 5)", "stands in backoff too: give one of the two")] == refuse(
        text + "healthy_after = 10\nbackoff = { healthy_after = 20 }"
    )
    assert [("agents.a.healthy_after (line 4)", "must be above 0, not 0")] == refuse(text.replace("max_restarts = 2", "healthy_after = 0"))
    assert [("agents.a.healthy_after (line 4)", "a temporary agent is never restarted, so there is nothing to forget")] == refuse(
        text.replace("max_restarts = 2", 'healthy_after = 9\nrestart = "temporary"')
    )
