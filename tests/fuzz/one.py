"""One target under atheris: `python -m tests.fuzz.one NAME CORPUS [options of libFuzzer]`."""

import sys

import atheris

with atheris.instrument_imports(include=["signing", "repo_server", "repo_client", "hive"]):
    from tests.fuzz.targets import BY_NAME

    target = BY_NAME[sys.argv.pop(1)]
    for _data in target.first_inputs():  # heavy imports are inside of the targets
        target.run(_data)
        break


def feed(data: bytes) -> None:
    target.run(data)


atheris.Setup(sys.argv, feed)
atheris.Fuzz()
