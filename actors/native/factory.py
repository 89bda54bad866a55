"""The factory of a native agent: finding what its spec names, and calling it as the contract says."""

import contextlib
import importlib
import inspect
from typing import Any

from ..errors import CannotRun
from ..exits import CauseId


def call_factory(name: str, arguments: tuple[str, str, str, str, dict[str, Any]]) -> Any:
    """What the factory behind `package.module:attribute` returns, or its `create`: an agent, None, or what is to be awaited for one.

    `arguments` are the agent's id, name, role, model and config. Raises CannotRun when there is no such factory, or it cannot be
    called like this, and whatever the factory raises.
    """
    factory = _find(name)
    create = getattr(factory, "create", factory)
    _check_takes(name, create, arguments)
    return create(*arguments)


def _find(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise CannotRun(f"factory {name!r}: there is no module {error.name!r} on the path").because(CauseId.FACTORY_NOT_FOUND) from None
    except AttributeError:
        raise CannotRun(f"factory {name!r}: module {module_name!r} has no {attribute!r}").because(CauseId.FACTORY_NOT_FOUND) from None
    return found


def _check_takes(name: str, create: Any, arguments: tuple[Any, ...]) -> None:
    if not callable(create):
        what = f"a {type(create).__name__} cannot be called: name a function or class, or what has a create()"
        raise CannotRun(f"factory {name!r}: {what}").because(CauseId.FACTORY_NOT_FOUND)
    # Not everything that is built in says what it takes.
    with contextlib.suppress(ValueError):
        # That of what is called: a decorator may give some of it by itself.
        signature = inspect.signature(create, follow_wrapped=False)
        try:
            signature.bind(*arguments)
        except TypeError as error:
            raise CannotRun(
                f"factory {name!r}: it is called with (agent_id, name, role, model, config), and takes {signature}: {error}"
            ).because(CauseId.FACTORY_NOT_FOUND) from None
