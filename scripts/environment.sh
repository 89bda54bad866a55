# Sourced by demo and test: makes a virtual environment that holds the present sources, installed as users have them.
#
#   use_environment EXTRAS    sets $root (the repository) and $venv (the environment); EXTRAS is "" or "dev"
#
# PYTHON=python3.12 chooses the Python and gets an environment of its own, .venv-3.12, so several stand side by side.

set -eu

say() {
    echo "suptree: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Whether this command is a Python that we can use; leaves the reason in $why when it is not.
usable() {
    if ! version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))' 2>/dev/null); then
        if [ -n "$version" ]; then
            why="$1 is Python $version, and 3.11 or later is needed"
        else
            why="$1 does not run"
        fi
        return 1
    fi
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        why="$1 cannot make virtual environments (no venv or ensurepip); on Debian and Ubuntu: apt install python$version-venv"
        return 1
    fi
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" || fail "PYTHON=$PYTHON cannot be used: $why"
        python=$PYTHON
        return
    fi
    reasons=""
    for python in python3 python3.13 python3.12 python3.11; do
        command -v "$python" >/dev/null || continue
        if usable "$python"; then
            return
        fi
        reasons="$reasons; $why"
    done
    fail "no Python 3.11 or later was found${reasons}; install one, or name it: PYTHON=/path/to/python3"
}

sources() {
    find actors supervisors control scripts testing setup.cfg pyproject.toml README.md LICENSE -name __pycache__ -prune -o -type f -print
}

# Installs from a copy, so that neither a stale build/ gets in nor a new one stays behind.
# In a subshell, so that the traps of who calls it stay.
install() (
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    sources | tar -cf - -T - | tar -xf - -C "$copy"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check "setuptools>=77" # what builds it, as in pyproject.toml
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-build-isolation "$copy${1:+[$1]}"
)

use_environment() {
    root=$(dirname "$(dirname "$(readlink -f -- "$0")")")
    cd "$root"
    venv=$root/.venv
    if [ -n "${PYTHON:-}" ]; then
        find_python
        venv=$root/.venv-$version
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        find_python
        say "making a virtual environment in ${venv##*/} (Python $version)"
        "$python" -m venv --clear "$venv"
    fi
    stamp="$(sources | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cksum | cksum) "
    case "$(cat "$venv/installed" 2>/dev/null || true)" in
        "$stamp"*"$1") ;;
        *)
            say "installing suptree${1:+ and the tools that test it} into ${venv##*/}"
            rm -f "$venv/installed"
            install "$1"
            echo "$stamp$1" >"$venv/installed"
            ;;
    esac
}
