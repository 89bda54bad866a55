"""How a command reaches the tree that it means: through its socket, or where `$SUPTREE_URL` says through TCP."""

import os

from suptree.actors.errors import SuptreeError

from ..trees.find import TREE_VARIABLE, find_tree
from ..trees.standing import refuse_if_out_of_reach
from .client import Client

URL_VARIABLE = "SUPTREE_URL"
TOKEN_VARIABLE = "SUPTREE_TOKEN"  # noqa: S105


def remote_url(name: str | None) -> str | None:
    """The URL of the tree that is meant, unless a name says that the tree is on this machine; then None."""
    return None if name or os.environ.get(TREE_VARIABLE) else os.environ.get(URL_VARIABLE) or None


def reach(name: str | None = None) -> Client:
    """A client of the tree of that name, else of the one behind `$SUPTREE_URL`, else of the only one that runs.

    Raises what `find_tree` and `refuse_if_out_of_reach` raise, and SuptreeError for a URL or a token that cannot be.
    """
    url = remote_url(name)
    if url is None:
        tree = find_tree(name)
        refuse_if_out_of_reach(tree)
        return Client(tree.paths.control_socket)
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise SuptreeError(f"{URL_VARIABLE} is set, but no {TOKEN_VARIABLE}: `suptree token` prints it where the tree runs")
    return Client.tcp(url, token)
