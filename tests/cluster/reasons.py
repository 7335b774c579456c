"""Why a cluster cannot run here, said so that somebody can do something about it."""


class CannotRun(Exception):
    """There is no cluster, for the reason that this says in a sentence."""


def last_words(output: bytes | str, lines: int = 8) -> str:
    """Return the last lines of what a program printed."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return "\n".join(text.strip().splitlines()[-lines:]) or "it said nothing."
