"""What `Timelines` promises about checkpoints: how far `fanout` has been applied."""

import asyncio
from collections.abc import Callable

import pytest

from schemas.ids import UserId
from streams.ports.groups import Stores
from tests.worlds.kafka import LOCAL
from topics.catalogue import FANOUT

NewId = Callable[[], int]


class CheckpointsSuite:
    async def test_a_note_moves_on_from_what_it_was(self, stores: Stores, new_id: NewId) -> None:
        """A checkpoint is saved if `expected` is the stored one: first None, then the last offset.
        Checkpoints of other partitions do not change."""
        partition, other = new_id(), new_id()

        assert await stores.timelines.checkpoints([partition]) == {}
        assert await stores.timelines.checkpoints([]) == {}
        assert await stores.timelines.save_checkpoint(partition, 5, expected=None)
        assert await stores.timelines.save_checkpoint(partition, 9, expected=5)
        assert await stores.timelines.checkpoints([partition, other]) == {partition: 9}

    @pytest.mark.parametrize("expected", [None, 0, 4, 6])
    async def test_another_note_than_expected_is_left(
        self, stores: Stores, new_id: NewId, expected: int | None
    ) -> None:
        """If `expected` is not the stored checkpoint, it stays: this store missed a checkpoint, so
        the records in between must be applied again."""
        partition = new_id()
        await stores.timelines.save_checkpoint(partition, 5, expected=None)

        assert not await stores.timelines.save_checkpoint(partition, 9, expected=expected)
        assert await stores.timelines.checkpoints([partition]) == {partition: 5}

    async def test_a_store_without_the_note_is_found_out(self, stores: Stores, new_id: NewId) -> None:
        """A store that lost its contents has no checkpoint. If one is expected, the save fails and
        writes nothing."""
        partition = new_id()

        assert not await stores.timelines.save_checkpoint(partition, 9, expected=5)
        assert await stores.timelines.checkpoints([partition]) == {}

    async def test_a_checkpoint_of_0_is_a_checkpoint(self, stores: Stores, new_id: NewId) -> None:
        """Checkpoint 0 says that no record of the partition has been applied yet. It is not the
        same as no checkpoint."""
        partition = new_id()

        assert await stores.timelines.save_checkpoint(partition, 0, expected=None)
        assert await stores.timelines.checkpoints([partition]) == {partition: 0}
        assert await stores.timelines.save_checkpoint(partition, 1, expected=0)

    async def test_of_racing_notes_one_is_taken(self, stores: Stores, new_id: NewId) -> None:
        """All concurrent saves expect the same checkpoint, so one is stored and all others return
        False."""
        partition = new_id()
        taken = await asyncio.gather(
            *(stores.timelines.save_checkpoint(partition, at, expected=None) for at in range(1, 9))
        )

        assert sum(taken) == 1
        assert await stores.timelines.checkpoints([partition]) == {partition: taken.index(True) + 1}

    async def test_all_are_noted_only_where_none_is(self, stores: Stores, new_id: NewId) -> None:
        """If the store has a checkpoint of at least one of the partitions, it is not new, and none
        of the given checkpoints is saved."""
        first, second, third = new_id(), new_id(), new_id()

        assert await stores.timelines.save_all_checkpoints({first: 1, second: 2})
        assert not await stores.timelines.save_all_checkpoints({second: 7, third: 3})
        assert await stores.timelines.checkpoints([first, second, third]) == {first: 1, second: 2}

    async def test_a_store_is_verified_when_every_partition_is(self, stores: Stores) -> None:
        """`confirm` returns the partitions whose checkpoint differs from the given one. The store
        is not verified until they are confirmed, too."""
        *most, last = range(LOCAL.partitions(FANOUT))
        await stores.timelines.save_all_checkpoints(dict.fromkeys(range(LOCAL.partitions(FANOUT)), 7))

        moved = await stores.timelines.confirm({**dict.fromkeys(most, 7), last: 8})

        assert {last} == moved
        assert not await stores.timelines.verified()
        assert set() == await stores.timelines.confirm({last: 7})
        assert await stores.timelines.verified()

    async def test_every_group_has_its_own(self, stores: Stores, new_id: NewId) -> None:
        """`checkpoints` says what all groups have: where one lacks it, the first one gets none."""
        partition = new_id()
        *others, last = range(len(await stores.timelines.checkpoints_by_group([partition])))

        assert await stores.timelines.save_checkpoint(partition, 5, expected=None, groups=[last])

        by_group = await stores.timelines.checkpoints_by_group([partition])
        assert list(by_group) == [{} for _ in others] + [{partition: 5}]
        assert await stores.timelines.checkpoints([partition]) == by_group[0]
        assert not await stores.timelines.save_checkpoint(partition, 9, expected=None)
        assert await stores.timelines.checkpoints([partition]) == by_group[0]
        assert partition in await stores.timelines.confirm({partition: 9})

    async def test_servers_have_all_groups_each_once(self, stores: Stores, new_id: NewId) -> None:
        """And each says the lowest checkpoints of its groups. One that a group lacks is not among them."""
        one, two = new_id(), new_id()
        servers = await stores.timelines.groups_by_server()
        groups = sorted(group for of_server in servers for group in of_server)
        assert groups == list(range(len(await stores.timelines.checkpoints_by_group([one]))))
        *others, last = groups
        assert await stores.timelines.save_all_checkpoints({one: 5, two: 9}, others or None)
        if others:
            assert await stores.timelines.save_checkpoint(one, 3, expected=None, groups=[last])

        by_server = await stores.timelines.checkpoints_by_server([one, two])

        assert [list(groups) for groups, _ in by_server] == [list(groups) for groups in servers]
        for of_server, lowest in by_server:
            is_whole = not others or last not in of_server
            assert lowest == ({one: 5, two: 9} if is_whole else {one: 3})
        assert await stores.timelines.checkpoints([one, two]) == ({one: 3} if others else {one: 5, two: 9})
        assert await stores.timelines.checkpoints_by_group([one], [last, *others]) == [
            {one: 3 if others else 5},
            *({one: 5} for _ in others),
        ]

    async def test_only_the_chosen_groups_are_compared(self, stores: Stores, new_id: NewId) -> None:
        partition = new_id()
        groups = range(len(await stores.timelines.checkpoints_by_group([partition])))
        assert await stores.timelines.save_checkpoint(partition, 5, expected=None)
        assert await stores.timelines.save_checkpoint(partition, 7, expected=5, groups=[groups[-1]])

        assert await stores.timelines.confirm({partition: 7}, [groups[-1]]) == set()
        assert await stores.timelines.confirm({partition: 5}, groups[:-1]) == set()
        assert await stores.timelines.confirm({partition: 5}, [groups[-1]]) == {partition}
        assert await stores.timelines.checkpoints([partition]) == {partition: 5 if len(groups) > 1 else 7}

    async def test_a_save_may_be_repeated(self, stores: Stores, new_id: NewId) -> None:
        """Its reply may have been lost."""
        partition = new_id()

        for _ in range(2):
            assert await stores.timelines.save_checkpoint(partition, 5, expected=None)

        assert await stores.timelines.checkpoints([partition]) == {partition: 5}

    async def test_all_are_noted_in_the_groups_that_have_none(self, stores: Stores, new_id: NewId) -> None:
        partition = new_id()
        groups = range(len(await stores.timelines.checkpoints_by_group([partition])))
        assert await stores.timelines.save_all_checkpoints({partition: 5}, [groups[-1]])

        assert await stores.timelines.save_all_checkpoints({partition: 3}, groups[:-1])
        assert not await stores.timelines.save_all_checkpoints({partition: 4})

        by_group = await stores.timelines.checkpoints_by_group([partition])
        assert list(by_group) == [{partition: 3} for _ in groups[:-1]] + [{partition: 5}]

    async def test_each_timeline_is_in_one_group(self, stores: Stores, new_id: NewId) -> None:
        """So a group can be forgotten without the others."""
        owners = [UserId(new_id()) for _ in range(40)]
        await stores.timelines.forget_all()
        for owner in owners:
            assert await stores.timelines.begin_rebuild(owner, b"12345678")
        groups = range(len(await stores.timelines.checkpoints_by_group([0])))

        forgotten = [await stores.timelines.forget_all([group]) for group in groups[: len(groups) // 2]]
        exist = [owner for owner in owners if await stores.timelines.read(owner) is not None]

        assert sum(forgotten) + len(exist) == len(owners)
        assert len(groups) == 1 or 0 < len(exist) < len(owners)
        assert await stores.timelines.forget_all() == len(exist)
