"""Keys of one list: in its order, each for one file, and what happens when another machine takes one."""

from __future__ import annotations

import random

import pytest
from cloud_storage import errors
from cloud_storage.saving import choices, numbering
from cloud_storage.saving.names import Name
from cloud_storage.saving.numbering import ListKeys
from memory_bucket import MemoryBucket


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch):
    monkeypatch.setattr(numbering, "counters", numbering.CounterMemory())


@pytest.fixture
def bucket():
    return MemoryBucket()


def counted(count=1, head="a_"):
    return [Name((head, ""), ".png", number) for number in range(count)]


def bare(stem="a", extension=".png"):
    return [Name((stem,), extension)]


def reserve(keys, bucket, names, if_exists=choices.NEW_NAME):
    return keys.reserve(bucket, names, if_exists)


def first(reserved):
    return [next(file.candidates()) for file in reserved]


def save(bucket, file):
    """Create the first candidate that is free, as ``store_file.store`` does."""
    try:
        for key in file.candidates():
            if key not in bucket.keys:
                bucket.keys.add(key)
                return key
    finally:
        file.release()
    raise AssertionError("every key was taken")


def numbers(*numbers):
    return [f"a_{number:05d}.png" for number in numbers]


def test_a_list_is_numbered_on_and_asks_the_server_once(bucket):
    keys = ListKeys()
    bucket.keys.update(numbers(1, 2))
    assert first(reserve(keys, bucket, counted(2))) == numbers(3, 4)
    assert first(reserve(keys, bucket, counted(3))) == numbers(5, 6, 7)
    assert first(reserve(ListKeys(), bucket, counted(1))) == numbers(8)
    assert bucket.requests == ["list a_"]


def test_several_series_of_a_batch_are_numbered_apart(bucket):
    names = [*counted(1, "b_"), *counted(2), *counted(1, "b_")]
    assert first(reserve(ListKeys(), bucket, names)) == ["b_00001.png", *numbers(1, 2), "b_00002.png"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_files_whose_numbers_are_all_taken_keep_their_order_whoever_finds_out_first(bucket, order):
    keys = ListKeys()
    files = [*reserve(keys, bucket, counted(2)), *reserve(keys, bucket, counted(2))]
    tries = [file.candidates() for file in files]
    assert [next(each) for each in tries] == numbers(1, 2, 3, 4)
    bucket.keys.update(numbers(1, 2, 3, 4, 5))
    bucket.requests.clear()
    saved = {index: next(tries[index]) for index in order}
    assert [saved[index] for index in range(4)] == numbers(6, 7, 8, 9)
    assert bucket.requests.count("list a_") <= 2, "one search, whoever has collided"


def test_a_file_that_is_stored_gets_no_other_number(bucket):
    keys = ListKeys()
    one, two, three = reserve(keys, bucket, counted(3))
    assert save(bucket, one) == numbers(1)[0]
    bucket.keys.update(numbers(2))
    assert save(bucket, two) == numbers(4)[0]
    assert save(bucket, three) == numbers(5)[0]
    assert first(reserve(keys, bucket, counted())) == numbers(6)


def test_a_file_that_begins_after_another_s_collision_does_not_collide(bucket):
    one, two = reserve(ListKeys(), bucket, counted(2))
    bucket.keys.update(numbers(1, 2))
    assert save(bucket, one) == numbers(3)[0]
    tried = list(zip(two.candidates(), range(1), strict=False))
    assert tried == [(numbers(4)[0], 0)]


def test_it_ends_when_a_server_calls_every_key_taken(bucket):
    (file,) = reserve(ListKeys(), bucket, counted())
    assert len(set(file.candidates())) == numbering.MAX_COLLISIONS


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("names", [counted(4), bare()])
def test_machines_that_save_at_once_overwrite_nothing(bucket, monkeypatch, seed, names):
    chance, saved = random.Random(seed), []
    machines = [numbering.CounterMemory() for _ in range(3)]
    for _ in range(10):
        waiting = []
        for machine in machines:
            monkeypatch.setattr(numbering, "counters", machine)
            waiting += [(machine, file) for file in reserve(ListKeys(), bucket, names)]
        chance.shuffle(waiting)
        for machine, file in waiting:
            monkeypatch.setattr(numbering, "counters", machine)
            saved.append(save(bucket, file))
    assert len(saved) == len(set(saved)) == 30 * len(names)


# ------------------------------------------------------------ names without counter


def test_the_bare_name_is_first_and_each_later_one_is_numbered(bucket):
    keys = ListKeys()
    assert [first(reserve(keys, bucket, bare()))[0] for _ in range(3)] == ["a.png", *numbers(2, 3)]


@pytest.mark.parametrize("there", [["a.png"], ["a.png", *numbers(2, 3)], numbers(2, 3)])
def test_a_list_of_bare_names_keeps_its_order_after_a_restart(bucket, there):
    bucket.keys.update(there)
    keys = ListKeys()
    files = [reserve(keys, bucket, bare())[0] for _ in range(3)]
    saved = [save(bucket, file) for file in reversed(files)][::-1]
    free = ["a.png"] if "a.png" not in there else []
    begin = 4 if len(there) > 1 else 2
    assert saved == [*free, *numbers(*range(begin, begin + 3))][:3]


def test_once_it_has_been_numbered_the_bare_name_is_not_asked_for_again(bucket):
    bucket.keys.add("a.png")
    assert first(reserve(ListKeys(), bucket, bare())) == numbers(2)
    bucket.requests.clear()
    assert first(reserve(ListKeys(), bucket, bare())) == numbers(3)
    assert bucket.requests == []


def test_a_bare_name_that_another_machine_takes_meanwhile_gets_a_number(bucket):
    keys = ListKeys()
    files = [*reserve(keys, bucket, bare()), *reserve(keys, bucket, bare())]
    bucket.keys.add("a.png")
    assert [save(bucket, file) for file in files] == numbers(3, 4)


@pytest.mark.parametrize("error", [errors.AccessDenied, errors.NotFound])
def test_a_key_that_may_not_look_tries_the_bare_name(bucket, error):
    bucket.failure = error("Could not read 'a.png' (here): no. Ask.")
    assert first(reserve(ListKeys(), bucket, bare())) == ["a.png"]


# ------------------------------------------------------------ failures


def test_a_failure_is_raised_when_the_file_is_to_be_stored_and_says_what_was_tried(bucket):
    bucket.failure = errors.Unreachable("Could not list 'a_' (here): no answer. Look at the network.")
    (file,) = reserve(ListKeys(), bucket, counted())
    with pytest.raises(errors.Unreachable, match=r"save to 'memory': finding the next free number failed"):
        next(file.candidates())
    bucket.failure = errors.Unreachable("Could not read 'a.png' (here): no answer. Look at the network.")
    (file,) = reserve(ListKeys(), bucket, bare())
    with pytest.raises(errors.Unreachable, match=r"Could not store 'a\.png'"):
        next(file.candidates())


def test_a_dead_server_is_asked_once_for_a_whole_list(bucket):
    keys = ListKeys()
    bucket.failure = errors.Unreachable("no server")
    for head in ("a_", "b_", "a_"):
        (file,) = reserve(keys, bucket, counted(1, head))
        with pytest.raises(errors.Unreachable):
            next(file.candidates())
    assert bucket.requests == ["list a_"]
    bucket.failure = None
    assert first(reserve(ListKeys(), bucket, counted())) == numbers(1), "another list asks again"


def test_a_policy_for_one_series_fails_no_other(bucket):
    keys = ListKeys()
    bucket.failure = errors.Forbidden("no")
    (file,) = reserve(keys, bucket, counted())
    with pytest.raises(errors.Forbidden, match="needs the right to list"):
        next(file.candidates())
    bucket.failure = None
    assert first(reserve(keys, bucket, counted(1, "b_"))) == ["b_00001.png"]


def test_a_fault_of_this_program_is_raised_when_the_file_is_to_be_stored(bucket):
    bucket.failure = RuntimeError("a bug")
    (file,) = reserve(ListKeys(), bucket, counted())
    with pytest.raises(RuntimeError):
        next(file.candidates())


def test_cancel_is_raised_at_once(bucket):
    bucket.failure = errors.TransferCancelled("cancelled")
    with pytest.raises(errors.TransferCancelled):
        reserve(ListKeys(), bucket, counted())


# ------------------------------------------------------------ fixed keys


@pytest.mark.parametrize("if_exists", [choices.OVERWRITE, choices.FAIL, choices.SKIP])
def test_no_fixed_key_of_a_list_is_given_twice_and_nothing_is_asked(bucket, if_exists):
    keys = ListKeys()
    assert first(reserve(keys, bucket, counted(2), if_exists)) == numbers(1, 2)
    assert first(reserve(keys, bucket, counted(2), if_exists)) == numbers(3, 4)
    assert [first(reserve(keys, bucket, bare(), if_exists))[0] for _ in range(3)] == [
        "a.png",
        "a_1.png",
        "a_2.png",
    ]
    given = [first(reserve(keys, bucket, bare(stem), if_exists))[0] for stem in ("b", "b_1", "b")]
    assert given == ["b.png", "b_1.png", "b_2.png"], "not the key that another name has"
    (file,) = reserve(ListKeys(), bucket, bare(), if_exists)
    assert list(file.candidates()) == ["a.png"], "and no other"
    assert bucket.requests == []
