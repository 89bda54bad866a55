"""An LLMAgent whose library is not installed."""

from pathlib import Path

from .test_llm_agent import last_exit, llm, tree

WITHOUT_LIBRARY = str(Path(__file__).parent / "without_any_llm")


def test_without_its_library_it_names_the_extra() -> None:
    with tree(llm("a", {"base_url": "http://127.0.0.1:1"}, "hold = true"), sys_path=[WITHOUT_LIBRARY]) as live:
        assert ("permanent", 'LLMAgent needs the extra "llm": pip install "suptree[llm]"') == last_exit(live, "a")
