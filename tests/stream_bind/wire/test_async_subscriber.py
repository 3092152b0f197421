"""The asyncio subscriber: the same books, another way of waiting."""

from __future__ import annotations

import asyncio

import pytest
import zmq

from stream_bind.errors import WireError
from stream_bind.wire.async_subscriber import AsyncSubscriber
from stream_bind.wire.message import Lane
from stream_bind.wire.publisher import Publisher


@pytest.fixture
def publisher(tmp_path):
    with Publisher(f"ipc://{tmp_path}/wire", "headset", hwm=1000) as publisher:
        yield publisher


@pytest.fixture
async def beating(publisher):
    """Keeps the publisher greeting while the test waits."""

    async def beat():
        while True:
            publisher.beat()
            await asyncio.sleep(0.005)

    task = asyncio.create_task(beat())
    yield publisher
    task.cancel()


async def test_vectors_arrive_in_order(beating, vector):
    async with AsyncSubscriber(beating.endpoint, timeout_s=10) as subscriber:
        for i in range(5):
            beating.publish(vector("cam", i))
        windows = []
        async for embedding in subscriber:
            windows.append(embedding.window)
            if len(windows) == 5:
                break
        assert windows == list(range(5))
        assert subscriber.lost == 0
        assert subscriber.topic == "emb/headset/cam/ib/"


async def test_a_lost_tail_is_counted(beating, vector):
    async with AsyncSubscriber(beating.endpoint, hwm=10, timeout_s=10) as subscriber:
        for i in range(8000):
            beating.publish(vector("cam", i))
        got = 0
        while await subscriber.recv(0.15) is not None:
            got += 1
        assert await subscriber.recv(1.2) is None
        assert 0 < got < 8000
        assert subscriber.lost == 8000 - got


async def test_waiting_ends_with_a_sentence_when_it_is_given_a_time():
    with pytest.raises(WireError, match="no publisher answered"):
        async with AsyncSubscriber("tcp://127.0.0.1:9", timeout_s=0.05):
            pass


async def test_a_cancelled_receive_loses_nothing(beating, vector):
    async with AsyncSubscriber(beating.endpoint, timeout_s=10) as subscriber:
        for i in range(50):
            task = asyncio.create_task(subscriber.recv())
            await asyncio.sleep(0.001)
            task.cancel()
            beating.publish(vector("cam", i))
            assert (await subscriber.recv(5)).window == i
        assert subscriber.lost == 0


async def test_a_flood_leaves_others_their_turn(beating, vector):
    async with AsyncSubscriber(beating.endpoint, hwm=100_000, timeout_s=10) as subscriber:
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        for i in range(400):
            beating.publish(vector("cam", i))
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        task = asyncio.create_task(other())
        for i in range(400):
            assert (await subscriber.recv()).window == i
        task.cancel()
        assert turns > 3


async def test_binding_gives_what_all_streams_have_for_one_moment(beating, vector):
    lanes = [
        Lane(
            stream=stream, encoder="ib", modality="vision", hop_ns=500_000_000, length_ns=2_000_000_000, first_window=0
        )
        for stream in ("cam", "mic")
    ]
    beating.set_meta(lanes)
    async with AsyncSubscriber(beating.endpoint, timeout_s=10) as subscriber:
        beating.publish(vector("cam", 3))
        beating.publish(vector("mic", 3))
        async for bound in subscriber.bound():
            assert bound.complete
            assert set(bound) == {("cam", "ib"), ("mic", "ib")}
            break


async def test_a_plain_context_is_refused():
    with zmq.Context() as context, pytest.raises(TypeError, match=r"zmq\.asyncio"):
        AsyncSubscriber("inproc://x", context=context)
