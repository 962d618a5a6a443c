"""The next free counter: against a brute force over every kind of folder, in few enough listings."""

import bisect
import random
import threading

import pytest
from cloud_storage.saving.counter import CounterMemory, Series, counter_of, next_counter
from cloud_storage.saving.names import Name

HEAD = "comfyui/images/ComfyUI_"
MOST_LISTINGS = 20  # half of what the benchmark allows


class Bucket:
    """Keys listed as S3 lists them: in byte order, by prefix, after a key, 1,000 an answer; counted."""

    def __init__(self, keys=(), head=HEAD):
        self.keys = sorted({head + key for key in keys}, key=str.encode)
        self.listings = 0

    def list_after(self, prefix, after, limit):
        begin = max(bisect.bisect_right(self.keys, after), bisect.bisect_left(self.keys, prefix))
        end = len(self.keys) if limit is None else begin + limit
        found = [key for key in self.keys[begin:end] if key.startswith(prefix)]
        self.listings += max(1, -(-len(found) // 1000))
        return found

    def create(self, key):
        """Whether the key was free; it is taken afterwards."""
        place = bisect.bisect_left(self.keys, key)
        if self.keys[place : place + 1] == [key]:
            return False
        self.keys.insert(place, key)
        return True


def files(numbers, tail=".png"):
    return [f"{number:05d}{tail}" for number in numbers]


def highest(bucket):
    return max((counter_of(key[len(HEAD) :]) for key in bucket.keys if key.startswith(HEAD)), default=0)


# What a counter is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "number"),
    [
        ("00012.png", 12),
        ("00012_.png", 12),  # ComfyUI's own
        ("00012_mask.png", 12),
        ("00012/a.png", 12),
        ("00012", 12),
        ("00012图.png", 12),
        ("99999x", 99999),
        ("100000.png", 100000),
        ("9999999.png", 9999999),
    ],
)
def test_a_run_of_five_to_seven_digits_is_a_counter_whatever_follows(rest, number):
    assert counter_of(rest) == number


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "abc.png",
        "0001x.png",
        "2024-01-15.png",
        "000012.png",
        "20240115.png",
        "812345678901234.png",
        "٠٠٠١٢.png",
    ],
)
def test_dates_seeds_and_short_runs_are_no_counters(rest):
    assert counter_of(rest) == 0


# Against the brute force ------------------------------------------------------------------------------


def test_an_empty_folder_takes_one_listing_and_begins_with_1():
    bucket = Bucket()
    assert next_counter(HEAD, bucket.list_after) == 1
    assert bucket.listings == 1


def test_a_folder_of_one_page_takes_one_listing():
    bucket = Bucket(files(range(1, 1000)))
    assert next_counter(HEAD, bucket.list_after) == 1000
    assert bucket.listings == 1


def test_other_files_behind_the_numbers_cost_nothing():
    bucket = Bucket([*files(range(1, 500)), *(f"mask_{n}.png" for n in range(5_000))])
    assert next_counter(HEAD, bucket.list_after) == 500
    assert bucket.listings == 1


@pytest.mark.parametrize(
    "count", [10, 999, 1000, 1001, 9_999, 10_000, 99_998, 99_999, 100_000, 100_001, 250_000]
)
@pytest.mark.parametrize("tail", [".png", "_.png", "/a.png", "图.png", ""])
def test_many_files_take_few_listings(count, tail):
    bucket = Bucket(files(range(1, count + 1), tail))
    assert next_counter(HEAD, bucket.list_after) == count + 1
    assert bucket.listings <= MOST_LISTINGS


def test_a_million_files_take_few_listings():
    bucket = Bucket(files(range(1, 1_100_001)))
    assert next_counter(HEAD, bucket.list_after) == 1_100_001
    assert bucket.listings <= MOST_LISTINGS


@pytest.mark.parametrize("seed", range(60))
def test_gaps_and_strangers_do_not_mislead_it(seed):
    chance = random.Random(seed)
    top = chance.choice([30, 900, 5_000, 30_000, 99_999])
    kept = chance.random() ** 3
    numbers = [number for number in range(1, top + 1) if chance.random() < kept] + [chance.randint(1, top)]
    strangers = [
        chance.choice(["abc", "0001x", "1", "00", "-", "/", "2024-01-15_", "~", "é", "图", "zz"]) + f"{n}.png"
        for n in range(chance.choice([0, 3, 3_000]))
    ]
    dates = [
        f"{chance.randint(2021, 2025)}{chance.randint(1, 12):02d}{n:02d}_{n}.png"
        for n in range(chance.choice([0, 5]))
    ]
    elsewhere = [f"../other/{n:05d}.png" for n in range(chance.choice([0, 2_000]))]
    bucket = Bucket([*files(numbers, chance.choice([".png", "_.png"])), *strangers, *dates, *elsewhere])
    assert next_counter(HEAD, bucket.list_after) == highest(bucket) + 1
    assert bucket.listings <= MOST_LISTINGS


@pytest.mark.parametrize("seed", range(40))
def test_what_a_lifecycle_rule_leaves_is_found_at_every_width(seed):
    chance = random.Random(seed)
    first, count = chance.randint(1, 300_000), chance.choice([5, 3_000, 60_000])
    bucket = Bucket(files(range(first, first + count)))
    assert next_counter(HEAD, bucket.list_after) == first + count
    assert bucket.listings <= MOST_LISTINGS


def test_several_files_of_one_number_do_not_stop_it():
    bucket = Bucket([f"{number:05d}/{n}.png" for number in range(1, 41) for n in range(1_500)])
    assert next_counter(HEAD, bucket.list_after) == 41
    assert bucket.listings <= MOST_LISTINGS


@pytest.mark.parametrize("numbers", [range(1, 30_001), [*range(1, 20_001), *range(20_241, 20_251)]])
def test_pages_of_dates_between_the_numbers_do_not_end_it(numbers):
    bucket = Bucket([*files(numbers), *(f"20240115{n:06d}.png" for n in range(5_000))])
    assert next_counter(HEAD, bucket.list_after) == numbers[-1] + 1


def test_a_head_that_is_empty_finds_numbers_among_all_keys():
    bucket = Bucket(
        [*files(range(1, 2_000)), *(f"models/{n}" for n in range(5_000)), *(f"#{n}" for n in range(2_000))],
        "",
    )
    assert next_counter("", bucket.list_after) == 2_000


@pytest.mark.parametrize("count", [10, 3_000, 100_100])
def test_a_search_above_a_known_number_finds_what_came_since(count):
    bucket = Bucket(files(range(1, count + 1)))
    for above in (1, count // 2, count, count + 5):
        bucket.listings = 0
        assert next_counter(HEAD, bucket.list_after, above) == max(count, above) + 1
        assert bucket.listings <= MOST_LISTINGS


def test_a_search_above_a_number_never_ends_below_it():
    bucket = Bucket(files(range(20_000, 20_010)))
    assert next_counter(HEAD, bucket.list_after, 30_000) == 30_001


# Servers that list otherwise --------------------------------------------------------------------------


def test_a_server_that_ignores_where_to_begin_has_all_its_keys_listed():
    bucket = Bucket(files(range(1, 5_001)))
    assert next_counter(HEAD, lambda prefix, after, limit: bucket.list_after(prefix, "", limit)) == 5_001


def test_a_server_without_key_order_has_all_its_keys_listed():
    bucket = Bucket(files(range(1, 5_001)))
    mixed = random.Random(1).sample(bucket.keys, len(bucket.keys))
    assert next_counter(HEAD, lambda prefix, after, limit: mixed[:limit]) == 5_001


# The memory -------------------------------------------------------------------------------------------

SERIES = Series("bucket", HEAD)


def test_the_second_save_asks_nobody():
    bucket, counters = Bucket(files(range(1, 8))), CounterMemory()
    assert not counters.knows(SERIES)
    assert counters.reserve(SERIES, bucket.list_after, 4) == range(8, 12)
    assert counters.knows(SERIES)
    bucket.listings = 0
    assert counters.reserve(SERIES, bucket.list_after) == range(12, 13)
    assert bucket.listings == 0


def test_series_of_other_places_heads_and_first_numbers_are_apart():
    bucket, counters = Bucket(), CounterMemory()
    counters.reserve(SERIES, bucket.list_after, 7)
    assert counters.reserve(Series("other bucket", HEAD), bucket.list_after)[0] == 1
    assert counters.reserve(Series("bucket", "other"), bucket.list_after)[0] == 1
    assert counters.reserve(Series("bucket", HEAD, 2), bucket.list_after)[0] == 2


def test_a_collision_makes_the_next_save_look_again_and_never_goes_back():
    bucket, counters = Bucket(), CounterMemory()
    mine = counters.reserve(SERIES, bucket.list_after, 4)  # 1 to 4, under way
    for number in range(1, 3):
        assert bucket.create(f"{HEAD}{number:05d}.png")  # the other machine's
    assert counters.reserve(SERIES, bucket.list_after, taken=mine[0])[0] == 5
    bucket.listings = 0
    # as old as the first one: the search since knows of it
    assert counters.reserve(SERIES, bucket.list_after, taken=mine[1])[0] == 6
    assert bucket.listings == 0


def test_one_collision_is_enough_to_catch_up_with_another_machine():
    bucket, counters = Bucket(files(range(1, 50_001))), CounterMemory()
    assert counters.reserve(SERIES, bucket.list_after)[0] == 50_001
    for number in range(50_001, 50_101):
        bucket.create(f"{HEAD}{number:05d}.png")
    bucket.listings = 0
    assert counters.reserve(SERIES, bucket.list_after, taken=50_001)[0] == 50_101
    assert bucket.listings <= 3


def test_a_number_reserved_during_a_search_is_not_given_out_again():
    bucket, counters, meanwhile = Bucket(files(range(1, 6))), CounterMemory(), []

    def list_after(prefix, after, limit):
        if not meanwhile:
            meanwhile.extend(counters.reserve(SERIES, bucket.list_after, 3))
        return bucket.list_after(prefix, after, limit)

    assert counters.reserve(SERIES, list_after) == range(9, 10)
    assert meanwhile == [6, 7, 8]


def test_a_failed_search_reserves_nothing():
    def offline(prefix, after, limit):
        raise ConnectionError

    counters = CounterMemory()
    with pytest.raises(ConnectionError):
        counters.reserve(SERIES, offline)
    assert not counters.knows(SERIES)
    assert counters.reserve(SERIES, Bucket().list_after)[0] == 1


def test_the_memory_is_bounded_and_keeps_what_was_used_last():
    bucket, counters = Bucket(), CounterMemory(size=3)
    for head in "abcadaea":
        counters.reserve(Series("bucket", head), bucket.list_after)
    assert [counters.knows(Series("bucket", head)) for head in "abcde"] == [True, False, False, True, True]
    assert bucket.listings == len("abcde")  # "a" was never forgotten


def test_threads_never_share_a_number():
    bucket, counters, taken = Bucket(files(range(1, 6))), CounterMemory(), []

    def save():
        for _ in range(200):
            taken.extend(counters.reserve(SERIES, bucket.list_after, 2))

    threads = [threading.Thread(target=save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(6, 6 + 8 * 200 * 2))


# The loop of a save -----------------------------------------------------------------------------------


def save(bucket, counters, name, reserved=None):
    """Save one file, beginning with a number that was ``reserved``; the key that was created."""
    series = Series("bucket", name.head, name.first_number)
    number = reserved or counters.reserve(series, bucket.list_after)[0]
    while not bucket.create(name.numbered(number)):
        number = counters.reserve(series, bucket.list_after, taken=number)[0]
    return name.numbered(number)


@pytest.mark.parametrize("seed", range(20))
def test_machines_that_save_at_once_overwrite_nothing(seed):
    chance = random.Random(seed)
    bucket = Bucket(files(range(1, chance.randint(1, 50))))
    before, machines, saved = list(bucket.keys), [CounterMemory() for _ in range(3)], []
    name = Name((HEAD, ""), ".png")
    for _ in range(30):
        busy = [machine for machine in machines if chance.random() < 0.8]
        batches = [machine.reserve(SERIES, bucket.list_after, 4) for machine in busy]
        for numbers in zip(*batches, strict=True):  # the batches' images arrive in turns
            saved += [save(bucket, *pair) for pair in zip(busy, [name] * len(busy), numbers, strict=True)]
    assert len(set(saved)) == len(saved)
    assert bucket.keys == sorted([*before, *saved])


@pytest.mark.parametrize("seed", range(10))
def test_a_folder_that_misleads_the_search_still_loses_nothing(seed):
    """Six-digit numbers among five-digit ones, the first thousands deleted: the case that is relaxed."""
    chance = random.Random(seed)
    bucket = Bucket(files([*range(1, 100_000, 3), *range(150_000, 150_000 + chance.choice([3, 4_000]))]))
    before, counters, name = set(bucket.keys), CounterMemory(), Name((HEAD, ""), ".png")
    saved = [save(bucket, counters, name) for _ in range(20)]
    assert len(set(saved) - before) == 20
