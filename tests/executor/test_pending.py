"""The waiting jobs at hand."""

from __future__ import annotations

from executor.pending import PendingJobs, Ticket
from tests.executor.conftest import make_job


def push(pending: PendingJobs, prompt_id: str, number: float, sequence: int) -> None:
    pending.push(Ticket(number, prompt_id, sequence), make_job(prompt_id, sequence=sequence))


def drain(pending: PendingJobs) -> list[int]:
    taken = []
    while (next_one := pending.pop()) is not None:
        taken.append(next_one[0].sequence)
    return taken


def test_jobs_come_out_by_number_then_id_then_arrival() -> None:
    pending = PendingJobs()
    for prompt_id, number, sequence in [("b", 1, 1), ("a", 1, 3), ("a", 1, 2), ("z", 0, 4)]:
        push(pending, prompt_id, number, sequence)

    assert len(pending) == 4
    assert drain(pending) == [4, 2, 3, 1]
    assert len(pending) == 0


def test_removed_jobs_do_not_come_out() -> None:
    pending = PendingJobs()
    for sequence, prompt_id in enumerate("abcb"):
        push(pending, prompt_id, sequence, sequence)

    removed = pending.remove(["b", "unknown"])
    assert sorted(ticket.sequence for ticket in removed) == [1, 3]
    assert len(pending) == 2
    assert drain(pending) == [0, 2]


def test_clearing_takes_all_out() -> None:
    pending = PendingJobs()
    push(pending, "a", 0, 5)

    assert [ticket.sequence for ticket in pending.clear()] == [5]
    assert pending.pop() is None


def test_graphs_beyond_the_memory_are_not_kept_but_stay_in_line() -> None:
    size = len(make_job("a").prompt) + len(make_job("a").extra_data)
    pending = PendingJobs(memory_bytes=2 * size)
    for sequence in range(3):
        push(pending, "a", sequence, sequence)

    kept = [job is not None for _, job in filter(None, (pending.pop() for _ in range(3)))]
    assert kept == [True, True, False]

    push(pending, "a", 0, 9)  # what came out made room again
    taken = pending.pop()
    assert taken is not None and taken[1] is not None


def test_a_job_put_back_comes_out_once() -> None:
    pending = PendingJobs()
    push(pending, "a", 0, 1)
    assert pending.pop() is not None
    push(pending, "a", 0, 1)

    assert drain(pending) == [1]


def test_jobs_of_one_owner_are_counted_and_taken_out() -> None:
    pending = PendingJobs()
    for sequence, owner in enumerate(["ann", "bob", "ann", None]):
        pending.push(Ticket(sequence, f"p{sequence}", sequence, owner))

    assert [pending.count_of(owner) for owner in ("ann", "bob", None)] == [2, 1, 1]
    assert pending.remove(["p0"], "bob") == []
    assert [ticket.sequence for ticket in pending.clear("ann")] == [0, 2]
    assert [pending.count_of(owner) for owner in ("ann", "bob", None)] == [0, 1, 1]
    assert drain(pending) == [1, 3]
    assert pending.count_of("bob") == 0
