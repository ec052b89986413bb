"""Which pending node is picked next."""

from __future__ import annotations

import pytest

from executor.worker.errors import DependencyCycleError
from executor.worker.schedule import Schedule


def schedule(links: dict[str, str], *, outputs: str = "", early: str = "") -> Schedule:
    """Nodes of one letter: consumer -> producers; entered in the order given."""
    made = Schedule()
    for node_id in links:
        made.enter(node_id, is_output=node_id in outputs, runs_early=node_id in outputs + early)
    for consumer, producers in links.items():
        for producer in producers:
            made.wait_for(consumer, producer)
    for node_id in links:
        made.offer(node_id)
    return made


def order(made: Schedule) -> str:
    """The nodes in the order they are picked and finished."""
    picked = ""
    while (node_id := made.pick()) is not None:
        picked += node_id
        made.finish(node_id)
    return picked


def test_producers_come_before_consumers() -> None:
    assert order(schedule({"c": "b", "b": "a", "a": ""})) == "abc"


def test_equals_come_in_the_order_they_entered() -> None:
    assert order(schedule({"c": "", "a": "", "b": ""})) == "cab"


def test_outputs_and_async_nodes_come_first() -> None:
    assert order(schedule({"a": "", "b": "", "c": ""}, outputs="c", early="b")) == "bca"


def test_what_feeds_an_output_comes_before_what_is_two_steps_away() -> None:
    links = {"x": "", "o": "p", "q": "r", "p": "", "w": "q", "r": ""}
    assert order(schedule(links, outputs="ow")) == "porqwx"


def test_a_link_made_late_moves_its_producer_forward() -> None:
    made = schedule({"a": "", "b": "", "o": ""}, outputs="o")
    assert made.pick() == "o"
    made.wait_for("o", "b")
    made.offer("o")
    assert order(made) == "boa"


def test_a_node_waits_for_a_producer_once_however_many_links_there_are() -> None:
    made = schedule({"b": "aa", "a": ""})
    assert order(made) == "ab"
    assert len(made) == 0


def test_a_picked_node_is_not_picked_again_until_it_is_offered() -> None:
    made = schedule({"a": ""})
    assert made.pick() == "a"
    assert made.pick() is None
    made.offer("a")
    assert made.pick() == "a"


def test_a_cycle_is_described_by_its_members_only() -> None:
    made = schedule({"w": "x", "x": "y", "y": "z", "z": "x"})
    assert made.pick() is None
    error = made.cycle()
    assert isinstance(error, DependencyCycleError)
    assert sorted(error.node_ids) == ["x", "y", "z"]
    with pytest.raises(DependencyCycleError, match="x"):
        raise error
