# The Python SDK in the versions that a requirements file of tests/interop/python pins, by their hashes.
# Sourced, never run. Everything lands in the target folder and nothing is committed.
# shellcheck shell=sh

# Nothing is compiled beside the sources, which are run where they lie.
export PYTHONDONTWRITEBYTECODE=1

# Makes the virtual environment of a generation if its requirements changed; sets PYTHON_BIN to it.
# usage: need_python GENERATION
need_python() {
    python3 -c 'import ensurepip' 2>/dev/null || die "python3-venv is missing; scripts/test --install installs it"
    requirements=tests/interop/python/requirements-$1.txt
    folder=$TARGET/python-$1
    PYTHON_BIN=$folder/bin/python
    cmp -s "$requirements" "$folder/installed.txt" && [ -x "$PYTHON_BIN" ] && return
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$PYTHON_BIN" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --cache-dir "$TARGET/python-cache" -r "$requirements" </dev/null
    cp "$requirements" "$folder/installed.txt"
}
