"""Which files go into the content layer: .dockerignore's rules, as a pure function of paths and its text.

The patterns come from strangers, so no regular expression is made of them: all patterns together are one automaton
whose states are sets of positions, a bit each. A character costs the same whatever the patterns are.

Source: https://docs.docker.com/build/concepts/context/#dockerignore-files and the patternmatcher of moby, which Docker
and Buildah follow: Go's filepath.Match, `**`, exceptions with `!`; a folder's match is its files' too; the last wins.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from binder.errors import RepositoryFault

_LARGEST_BYTES = 2**16
_MOST_PATTERNS = 1000
_MOST_CLASSES = 200
_MOST_BITS = 2**28
_SLASHES = re.compile("/{2,}")


@dataclass(frozen=True)
class _Token:
    """A step of a pattern. It takes one character (`chars`, all but those if `others`), or it `repeats`.

    `repeats` is `*` for any within a name, `**` for whole folders, or `.*` for anything.
    """

    chars: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    others: bool = False
    repeats: str = ""

    @property
    def is_literal(self) -> bool:
        """Whether it takes one certain character."""
        return len(self.chars) == 1 and not (self.ranges or self.others)

    def takes(self, character: str) -> bool:
        inside = character in self.chars or any(low <= character <= high for low, high in self.ranges)
        return inside != self.others and (character != "/" or "/" in self.chars)


@dataclass
class _State:
    """A set of positions, and where each character that was seen leads from it."""

    bits: int
    following: dict[str, "_State"] = field(default_factory=dict)


def kept(paths: Iterable[str], text: str, *, file: str = ".dockerignore") -> list[str]:
    """Return the paths, in their order, that the ignore file of this text does not leave out.

    Raises: RepositoryFault, with the line, where a pattern is malformed, or where there are too many.
    """
    automaton = _Automaton(_patterns(text, file))
    return [path for path in paths if not automaton.leaves_out(path)]


def _patterns(text: str, file: str) -> list[tuple[bool, list[_Token]]]:
    """Return for each pattern whether it is an exception, and its tokens."""
    if len(text.encode(errors="replace")) > _LARGEST_BYTES:
        raise RepositoryFault(f"{file} is larger than 64 KiB. Write fewer patterns.", file=file)
    found: list[tuple[bool, list[_Token]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        is_exception = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        tokens = _tokens(posixpath.normpath(_SLASHES.sub("/", pattern)).removeprefix("/")) if pattern else None
        if tokens is None:
            raise RepositoryFault(f"{file}: {line.strip()[:200]!r} is no pattern.", file=file, line=number)
        found.append((is_exception, tokens))
    classes = {token for _, tokens in found for token in tokens if not token.is_literal}
    if len(found) > _MOST_PATTERNS or len(classes) > _MOST_CLASSES:
        message = f"{file} has more than {_MOST_PATTERNS:,} patterns, or {_MOST_CLASSES} kinds of [ ]. Write fewer."
        raise RepositoryFault(message, file=file)
    return found


def _tokens(pattern: str) -> list[_Token] | None:
    """Return the tokens of a pattern, or None where it is malformed."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            parsed = _class(pattern, at + 1)
            if parsed is None:
                return None
            token, at = parsed
        elif character == "*":
            token, at = _repeat(pattern, at)
        elif character == "\\":
            if at + 1 == len(pattern):
                return None
            token, at = _Token(frozenset(pattern[at + 1])), at + 2
        else:
            token, at = (_Token(others=True) if character == "?" else _Token(frozenset(character))), at + 1
        if not (token.repeats and tokens and tokens[-1] == token):
            tokens.append(token)
    return tokens


def _repeat(pattern: str, at: int) -> tuple[_Token, int]:
    if not pattern.startswith("**", at):
        return _Token(repeats="*"), at + 1
    at += 3 if pattern.startswith("/", at + 2) else 2
    return _Token(repeats="**" if at < len(pattern) else ".*"), at


def _class(pattern: str, at: int) -> tuple[_Token, int] | None:
    """Return the class that begins after a `[`, and where it ends, or None where it is malformed."""
    others = pattern.startswith("^", at)
    at += others
    ranges: list[tuple[str, str]] = []
    while at < len(pattern):
        if pattern[at] == "]" and ranges:
            chars = frozenset(low for low, high in ranges if low == high)
            return _Token(chars, tuple(pair for pair in ranges if pair[0] != pair[1]), others), at + 1
        low, at = _character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _character(pattern, at + 1)
        if not low or not high or low > high:
            return None
        ranges.append((low, high))
    return None


def _character(pattern: str, at: int) -> tuple[str, int]:
    """Return a character of a class, and where the next begins; nothing where there is none."""
    if pattern.startswith("\\", at):
        return pattern[at + 1 : at + 2], at + 2
    character = pattern[at : at + 1]
    return (character if character not in {"-", "]"} else ""), at + 1


class _Automaton:
    """All patterns at once. Bit n of a state stands for a position in one of them, the patterns one after another."""

    def __init__(self, patterns: list[tuple[bool, list[_Token]]]) -> None:
        self._ends = self._exceptions = 0
        self._empty = self._twice = self._in_names = self._anywhere = self._folders = 0
        self._literals: dict[str, int] = {}
        self._classes: dict[_Token, int] = {}
        start = 0
        bit = 1
        for is_exception, tokens in patterns:
            start |= bit
            for token in tokens:
                bit = self._add(token, bit)
            self._ends |= bit
            self._exceptions |= bit if is_exception else 0
            bit <<= 1
        self._start = _State(self._without_steps(start))
        self._most_steps = _MOST_BITS // max(bit.bit_length(), 2**12)
        self._forget()

    def _forget(self) -> None:
        """Begin anew to remember: memory stays bounded, whatever the patterns and the paths are."""
        self._states: dict[int, _State] = {}
        self._moves: dict[str, int] = {}
        self._seen: dict[str, tuple[_State, int]] = {"": (self._start, 0)}
        self._start.following.clear()
        self._steps = 0

    def leaves_out(self, path: str) -> bool:
        """Whether the last pattern that a path or one of its folders matches is no exception."""
        folder, _, name = path.rpartition("/")
        _, ends = self._after(self._folder(folder), f"/{name}" if folder else name)
        last = ends.bit_length() - 1
        return last >= 0 and not self._exceptions >> last & 1

    def _folder(self, path: str) -> tuple[_State, int]:
        """Return the state after a folder's path, and the ends that it or one above it has reached."""
        waiting = []
        while path not in self._seen:
            waiting.append(path)
            path = path.rpartition("/")[0]
        found = self._seen[path]
        for folder in reversed(waiting):
            found = self._seen[folder] = self._after(found, folder[len(path) :])
            path = folder
        return found

    def _after(self, before: tuple[_State, int], text: str) -> tuple[_State, int]:
        state, ends = before
        for character in text:
            state = state.following.get(character) or self._step(state, character)
        return state, ends | state.bits & self._ends

    def _step(self, state: _State, character: str) -> _State:
        if character not in self._moves:
            self._moves[character] = self._move(character)
        staying = self._anywhere | (self._in_names if character != "/" else 0)
        bits = (state.bits & self._moves[character]) << 1 | state.bits & staying
        bits = self._without_steps(bits)
        following = state.following[character] = self._states.setdefault(bits, _State(bits))
        self._steps += 1
        if self._steps > self._most_steps:
            for known in self._states.values():
                known.following.clear()
            self._forget()
        return following

    def _move(self, character: str) -> int:
        """Return the positions from which a character leads one further."""
        moves = self._literals.get(character, 0) | (self._folders if character == "/" else 0)
        for token, bits in self._classes.items():
            moves |= bits if token.takes(character) else 0
        return moves

    def _without_steps(self, bits: int) -> int:
        """Return a state with the positions that it reaches without a character: what repeats may do so no times."""
        while (more := bits | (bits & self._empty) << 1 | (bits & self._twice) << 2) != bits:
            bits = more
        return bits

    def _add(self, token: _Token, bit: int) -> int:
        """Put a token at a position, and return the position after it."""
        if token.repeats == "**":
            # From its first position it is left out, or entered; its second is left only at a slash.
            self._empty |= bit
            self._twice |= bit
            self._anywhere |= bit << 1
            self._folders |= bit << 1
            return bit << 2
        if token.repeats:
            self._empty |= bit
            self._in_names |= bit if token.repeats == "*" else 0
            self._anywhere |= bit if token.repeats == ".*" else 0
        elif token.is_literal:
            (character,) = token.chars
            self._literals[character] = self._literals.get(character, 0) | bit
        else:
            self._classes[token] = self._classes.get(token, 0) | bit
        return bit << 1
