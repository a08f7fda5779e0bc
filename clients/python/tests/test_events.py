"""Streams of events."""

import unittest
from itertools import islice

from retrial import Error, Unreachable
from retrial.events import Message, messages
from server import ClientCase, Server, Stream


def block(seq, kind="TrialEnded"):
    return f'id: {seq}\nevent: {kind}\ndata: {{"position": {seq}}}\n\n'


class Events(ClientCase):
    def events(self, server, after=0, **more):
        client = self.client(server, **more)
        return client.experiment("e").events(after), client.pauses

    def test_after_a_lost_connection_it_goes_on_where_it_stopped(self):
        streams = [
            Stream([": hello\n\n", block(5), block(6), "id: 7\nevent: TrialEn"]),
            (503, None),
            Stream([block(6), block(7)]),
            Stream([]),
            (204, None),
        ]
        with Server(streams) as server:
            stream, pauses = self.events(server, after=4)
            found = list(stream)
            asked = [(request.query["after"][0], request.headers.get("Last-Event-ID")) for request in server.requests]
        self.assertEqual(
            [(event.seq, event.kind, event.data, event.id) for event in found],
            [(seq, "TrialEnded", {"position": seq}, str(seq)) for seq in (5, 6, 7)],
        )
        # A number is one of today's history; only the id of an event names its own.
        self.assertEqual(asked, [("4", None), ("6", "6"), ("6", "6"), ("7", "7"), ("7", "7")])
        self.assertEqual(len(pauses), 4)

    def test_in_another_history_it_begins_anew_and_tells_nothing_twice(self):
        def moved(seq, position):
            return f'id: {seq}@1f2e3d4c\nevent: TrialEnded\ndata: {{"position": {position}}}\n\n'

        refused = (409, {"code": "E0639", "detail": "`40` is a place in another history than the store has now"})
        streams = [
            Stream([block(39), block(40)]),
            refused,
            Stream([moved(1, 39), moved(2, 40), moved(5, 41)]),
            Stream([moved(6, 42)]),
            (204, None),
        ]
        with Server(streams) as server:
            found = list(self.events(server)[0])
            asked = [request.headers.get("Last-Event-ID") for request in server.requests]
        self.assertEqual([event.id for event in found], ["39", "40", "5@1f2e3d4c", "6@1f2e3d4c"])
        self.assertEqual([event.data["position"] for event in found], [39, 40, 41, 42])
        self.assertEqual(asked, [None, "40", None, "5@1f2e3d4c", "6@1f2e3d4c"])
        # Where it cannot know what was seen, it does not guess.
        with Server([refused]) as server:
            stream, _ = self.events(server, after="40")
            with self.assertRaisesRegex(Error, "E0639"):
                next(stream)
        with Server([Stream([block(39), block(40)]), refused]) as server:
            stream = self.client(server).events(after=0)
            self.assertEqual([event.seq for event in islice(stream, 2)], [39, 40])
            with self.assertRaisesRegex(Error, "E0639"):
                next(stream)

    def test_it_can_be_left_while_it_is_open(self):
        with Server(lambda _: Stream([block(seq) for seq in range(1, 100)])) as server:
            stream, _ = self.events(server)
            self.assertEqual([event.seq for event in islice(stream, 3)], [1, 2, 3])
            stream.close()
            self.assertEqual(list(stream), [])

    def test_a_refusal_is_raised_and_so_is_silence_beyond_the_patience(self):
        with Server([(404, {"code": "E0400", "detail": "there is no experiment `e`"})]) as server:
            stream, _ = self.events(server)
            with self.assertRaisesRegex(Error, "E0400"):
                next(stream)
        stream, pauses = self.events(server, patience=0)
        with self.assertRaises(Unreachable):
            next(stream)

    def test_the_server_says_how_long_to_wait_within_bounds(self):
        with Server([Stream(["retry: 2500\n\n"]), Stream(["retry: 9999999\n\n"]), (204, None)]) as server:
            stream, pauses = self.events(server)
            self.assertEqual(list(stream), [])
        self.assertEqual(pauses, [2.5, 30.0])

    def test_blocks_are_read_by_the_specification(self):
        text = ": a comment\nid: 1\ndata: a\ndata:b\ndata\n\r\n\nid:2\r\nevent:x\r\ndata:  c\r\n\r\nother: 1\n\ndata: no end"
        self.assertEqual(
            list(messages(line + b"\n" for line in text.encode().split(b"\n"))),
            [Message("1", "message", "a\nb\n", None), Message("2", "x", " c", None)],
        )


if __name__ == "__main__":
    unittest.main()
