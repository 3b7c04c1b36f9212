#!/usr/bin/env bash
# Environment, then `python -m jaxcnn <verb>`.
#
#   ./launch.sh                      installs jaxcnn and runs the default study on the embedded digits
#   ./launch.sh test [pytest args]   installs the test extra and runs the tests
#   ./launch.sh <verb> [arguments]   any verb: train, evaluate, predict, sweep, ...; ./launch.sh --help lists them
#
# JAXCNN_EXTRAS=cuda (or tpu, prepare, dev) installs extras, separated by commas. The versions are those of
# requirements.lock on Python 3.11 and of requirements-3.12.lock on newer ones. Under srun each task runs the same line;
# the processes find each other.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
extras=${JAXCNN_EXTRAS:-}
if [ "${1:-}" = test ]; then
    extras=${extras:+$extras,}test
fi

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "launch.sh: jaxcnn needs Python 3.11 or newer; none was found on PATH" >&2
    return 1
}

install() {
    local target=$root${extras:+[$extras]}
    echo "launch.sh: installing jaxcnn${extras:+[$extras]} into $VIRTUAL_ENV" >&2
    if command -v uv >/dev/null; then
        uv pip install --quiet --constraint "$lock" --editable "$target"
    else
        python -m pip install --quiet --disable-pip-version-check --constraint "$lock" --editable "$target"
    fi
}

export VIRTUAL_ENV=${VIRTUAL_ENV:-$root/.venv}
if [ ! -x "$VIRTUAL_ENV/bin/python" ]; then
    python=$(find_python)
fi
mkdir -p "$VIRTUAL_ENV"
# One at a time: the tasks of a cluster job share the environment. What was installed is remembered with its extras.
exec 9>"$VIRTUAL_ENV/.jaxcnn-lock"
if command -v flock >/dev/null; then flock 9; fi
if [ ! -x "$VIRTUAL_ENV/bin/python" ]; then
    echo "launch.sh: making a virtual environment of $python in $VIRTUAL_ENV" >&2
    if command -v uv >/dev/null; then
        uv venv --quiet --allow-existing --python "$python" "$VIRTUAL_ENV"
    else
        "$python" -m venv "$VIRTUAL_ENV"
    fi
fi
export PATH=$VIRTUAL_ENV/bin:$PATH
lock=$root/requirements.lock
if python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then lock=$root/requirements-3.12.lock; fi
wanted="$root $(cksum <"$root/pyproject.toml") $(cksum <"$lock")"
stamp=$VIRTUAL_ENV/.jaxcnn-installed
for extra in base ${extras//,/ }; do
    if ! grep -qxF "$extra $wanted" "$stamp" 2>/dev/null; then
        install
        for done in base ${extras//,/ }; do echo "$done $wanted" >>"$stamp"; done
        break
    fi
done
exec 9>&-

case ${1:-} in
'')
    exec python -m jaxcnn sweep "$root/experiments/digits.py" --workdir runs/digits
    ;;
test)
    shift
    cd "$root"
    exec python -m pytest -n 2 "$@"
    ;;
*)
    exec python -m jaxcnn "$@"
    ;;
esac
