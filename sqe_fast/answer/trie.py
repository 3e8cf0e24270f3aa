"""Which known phrases a text holds, word by word: a trie of phrases with slots, and a scan of a text by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NUMBER = "number"
"""What fills a slot: 1.0, of one decimal."""
ONE, MANY = "one", "many"

_TOKEN = re.compile(r"\d\.\d|\w+(?:['-]\w+)*|[^\w\s]")


class Found(NamedTuple):
    """A phrase in a text: tokens[start:end]."""

    start: int
    end: int
    meaning: tuple[Any, ...]
    values: Mapping[str, Any]
    """What fills its slots: a number, or a list of `Item`s."""


class Item(NamedTuple):
    """A noun phrase in a list, tokens[start:end], and what it stands for."""

    value: str
    start: int
    end: int


class Noun(NamedTuple):
    """A noun phrase that may stand in a list."""

    text: str
    many: bool
    """It takes a plural verb."""


@dataclass(eq=False)
class _Node:
    words: dict[str, _Node] = field(default_factory=dict)
    slots: dict[tuple[str, str], _Node] = field(default_factory=dict)
    """By (what may stand there, under which key it is kept)."""
    meaning: tuple[Any, ...] | None = None


class Trie:
    """Phrases word by word. Raises ValueError for a phrase that stands there with another meaning."""

    def __init__(self, lists: Mapping[str, Iterable[tuple[Noun, str]]]) -> None:
        """`lists` holds noun phrases and what each stands for, by the kind of list that they form. Raises ValueError
        for a noun phrase of two meanings."""
        self._root = _Node()
        self._items = {kind: _by_first_word(meanings) for kind, meanings in lists.items()}

    def add(self, phrase: str, meaning: tuple[Any, ...], **slots: str) -> None:
        """`slots` says what may stand in each {slot}: a NUMBER; or a list by its kind, alone or with `ONE` or `MANY`
        after it, where a verb wants it in that number."""
        node = self._root
        for part in re.split(r"(\{\w+\})", phrase):
            if part.startswith("{"):
                node = node.slots.setdefault((slots[part[1:-1]], part[1:-1]), _Node())
                continue
            for word in _words(part):
                node = node.words.setdefault(word, _Node())
        if node.meaning not in (None, meaning):
            raise ValueError(f"{phrase!r} means {node.meaning} and {meaning}")
        node.meaning = meaning

    def longest(self, tokens: Sequence[str], start: int) -> Found | None:
        """The longest phrase that begins there."""
        ends = self._follow(self._root, tokens, start, {})
        best = max(ends, key=lambda found: found[0], default=None)
        return Found(start, *best) if best else None

    def _follow(
        self, node: _Node, tokens: Sequence[str], at: int, values: dict[str, Any]
    ) -> Iterator[tuple[int, tuple[Any, ...], dict[str, Any]]]:
        if node.meaning is not None:
            yield at, node.meaning, values
        if at < len(tokens) and tokens[at] in node.words:
            yield from self._follow(node.words[tokens[at]], tokens, at + 1, values)
        for (kind, key), following in node.slots.items():
            for end, value in self._fill(kind, tokens, at):
                yield from self._follow(following, tokens, end, {**values, key: value})

    def _fill(self, kind: str, tokens: Sequence[str], at: int) -> Iterator[tuple[int, Any]]:
        """Every way to fill a slot from there on: where it ends, and what stands in it."""
        if kind == NUMBER:
            if at < len(tokens) and re.fullmatch(r"\d\.\d", tokens[at]):
                yield at + 1, float(tokens[at])
            return
        name, _, number = kind.partition(" ")
        for end, items, many in _lists_of(self._items[name], tokens, at):
            if number in ("", MANY if many else ONE):
                yield end, items


Items = Mapping[str, Sequence[tuple[tuple[str, ...], bool, str]]]
"""The words of noun phrases, whether they are plural and what they stand for; by their first words."""


def _by_first_word(meanings: Iterable[tuple[Noun, str]]) -> Items:
    items: dict[str, list[tuple[tuple[str, ...], bool, str]]] = {}
    for noun, value in meanings:
        words = _words(noun.text)
        of_word = items.setdefault(words[0], [])
        if other := [known for spelt, _, known in of_word if spelt == words]:
            raise ValueError(f"{noun.text!r} means {other[0]} and {value}")
        of_word.append((words, noun.many, value))
    return items


def _lists_of(
    items: Items, tokens: Sequence[str], at: int, *, begun: bool = False
) -> Iterator[tuple[int, list[Item], bool]]:
    """ "a", "a and b", "a, b and c" from there on: where each list ends, what it holds, whether it is plural."""
    for item, many in _items(items, tokens, at):
        if not begun:
            yield item.end, [item], many
        if tokens[item.end : item.end + 1] == ["and"]:
            for last, _ in _items(items, tokens, item.end + 1):
                yield last.end, [item, last], True
        if tokens[item.end : item.end + 1] == [","]:
            for end, rest, _ in _lists_of(items, tokens, item.end + 1, begun=True):
                yield end, [item, *rest], True


def _items(items: Items, tokens: Sequence[str], at: int) -> Iterator[tuple[Item, bool]]:
    for words, many, value in items.get(tokens[at], ()) if at < len(tokens) else ():
        if tuple(tokens[at : at + len(words)]) == words:
            yield Item(value, at, at + len(words)), many


class Scan:
    """The phrases of a text, from left to right, each the longest that fits."""

    def __init__(self, trie: Trie, text: str) -> None:
        """Tokens are words, numbers of one decimal and marks; words of no phrase are `outside`."""
        self._places = [match.span() for match in _TOKEN.finditer(text)]
        tokens = [text[start:end].lower() for start, end in self._places]
        self.found: list[Found] = []
        outside = []
        at = 0
        while at < len(tokens):
            found = trie.longest(tokens, at)
            if found is None:
                outside += [tokens[at]] if tokens[at][0].isalnum() else []
                at += 1
                continue
            self.found.append(found)
            at = found.end
        self.outside = tuple(outside)
        self.words = sum(token[0].isalnum() for token in tokens)

    def span(self, found: Found | Item) -> tuple[int, int]:
        """Where it stands: text[start:end]."""
        return self._places[found.start][0], self._places[found.end - 1][1]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _TOKEN.findall(text))
