from fec_cache.datasets.download.schedule import Schedule


def taken(schedule, now, most=99):
    items = []
    while len(items) < most and (item := schedule.take(now)) is not None:
        items.append(item)
    return items


def test_hosts_take_turns_up_to_their_limit():
    schedule = Schedule(per_host=2)
    schedule.add([(1, "a"), (2, "a"), (3, "a"), (4, "b")])
    assert schedule.num_left == 4
    assert taken(schedule, 0.0) == [(1, "a"), (4, "b"), (2, "a")]
    assert schedule.num_left == 1
    assert schedule.release("a", 0.0) is False
    assert taken(schedule, 0.0) == [(3, "a")]
    assert schedule.release("b", 0.0) is True
    assert (schedule.release("a", 0.0), schedule.release("a", 0.0)) == (False, True)


def test_a_retry_waits_for_its_time():
    schedule = Schedule(per_host=1)
    schedule.add([(1, "a")])
    assert taken(schedule, 0.0) == [(1, "a")]
    schedule.retry(1, "a", at=5.0)
    schedule.release("a", 0.0)
    assert taken(schedule, 4.9) == []
    assert schedule.next_time() == 5.0
    assert taken(schedule, 5.0) == [(1, "a")]
    assert schedule.next_time() is None


def test_a_held_host_waits_and_the_others_go_on():
    schedule = Schedule(per_host=1)
    schedule.add([(1, "a"), (2, "a"), (3, "b")])
    assert schedule.take(0.0) == (1, "a")
    schedule.hold("a", 9.0)
    schedule.release("a", 0.0)
    assert taken(schedule, 1.0) == [(3, "b")]
    assert schedule.next_time() == 9.0
    assert taken(schedule, 9.0) == [(2, "a")]


def test_dropping_a_host_removes_fresh_urls_and_retries():
    schedule = Schedule(per_host=1)
    schedule.add([(1, "a"), (2, "a"), (3, "b")])
    assert schedule.take(0.0) == (1, "a")
    schedule.retry(1, "a", at=7.0)
    assert sorted(schedule.drop("a")) == [1, 2]
    assert schedule.num_left == 1
    assert schedule.release("a", 0.0) is True
    assert taken(schedule, 99.0) == [(3, "b")]
