"""Requests and their repetition, against a server that answers as each test says."""

import base64
import json
import socket
import threading
import unittest

from retrial import Client, Error, Record, TakenOver, Unreachable
from server import DROP, PATIENCE_S, ClientCase, Server


class Requests(ClientCase):
    def test_every_method_asks_for_what_the_interface_has(self):
        def answer(request):
            if request.path.endswith("/ask"):
                return 200, {"trials": [{"trial": 4, "params": {"x": 1}, "attempt": 1, "lease_until_ms": 5}]}
            if request.path.endswith("front/best"):
                return 200, {"best": None, "front": [{"trial": 4}]}
            if request.path.endswith("/best"):
                return 200, {"best": {"trial": 3}, "front": None}
            if request.path.endswith("/clone"):
                return 201, {"experiment": "other"}
            return 200, {"ok": True, "decision": "stop"}

        with Server(answer) as server:
            experiment = self.client(server).experiment("a b")
            experiment.show()
            experiment.show(at=7)
            experiment.show(at="2026-01-01T00:00:00Z")
            self.assertEqual(experiment.best(), {"trial": 3})
            self.assertEqual(self.client(server).experiment("front").best(), [{"trial": 4}])
            experiment.trial(3)
            experiment.update({"name": "n"})
            experiment.remove()
            experiment.stop()
            experiment.pause()
            experiment.resume()
            self.assertEqual(experiment.clone().id, "other")
            experiment.enqueue({"x": 1})
            experiment.stop_trials([1, 2])
            experiment.retry((3,))
            asked = experiment.ask(2, worker="me", lease_seconds=9, request_id="r")[0]
            self.assertEqual((asked.number, asked.params, asked.attempt), (4, {"x": 1}, 1))
            experiment.tell(4, 1, 0.5)
            experiment.tell(4, 1, auc=0.5)
            experiment.tell(4, 1)
            self.assertFalse(experiment.report(4, 1, 3, 0.5))
            experiment.renew(4, 1, 9)
            server.requests.pop(4)
            made = [(r.method, r.path.replace("/v1/experiments/a b", ""), r.query, r.body) for r in server.requests]
        self.assertEqual(
            made,
            [
                ("GET", "", {}, None),
                ("GET", "", {"at": ["7"]}, None),
                ("GET", "", {"at": ["2026-01-01T00:00:00Z"]}, None),
                ("GET", "/best", {}, None),
                ("GET", "/trials/3", {}, None),
                ("PUT", "", {}, {"spec": {"name": "n"}}),
                ("DELETE", "", {}, None),
                ("POST", "/stop", {}, None),
                ("POST", "/pause", {}, None),
                ("POST", "/resume", {}, None),
                ("POST", "/clone", {}, {"name": None}),
                ("POST", "/queue", {}, {"params": {"x": 1}}),
                ("POST", "/trials/stop", {}, {"trials": [1, 2]}),
                ("POST", "/trials/retry", {}, {"trials": [3]}),
                ("POST", "/ask", {}, {"count": 2, "worker": "me", "request_id": "r", "lease_seconds": 9}),
                ("POST", "/trials/4/tell", {}, {"attempt": 1, "value": 0.5}),
                ("POST", "/trials/4/tell", {}, {"attempt": 1, "values": {"auc": 0.5}}),
                ("POST", "/trials/4/tell", {}, {"attempt": 1, "failed": True}),
                ("POST", "/trials/4/report", {}, {"attempt": 1, "step": 3, "value": 0.5}),
                ("POST", "/trials/4/renew", {}, {"attempt": 1, "lease_seconds": 9}),
            ],
        )

    def test_all_requests_of_a_thread_share_a_connection(self):
        with Server(lambda _: (200, {"name": "x"})) as server:
            shared = self.client(server)
            for _ in range(5):
                shared.experiment("e").show()

            def work():
                shared.experiment("e").show()
                shared.experiment("e").release()

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            self.assertEqual((len(server.requests), server.connections), (6, 2))

    def test_lists_are_fetched_page_by_page(self):
        pages = [
            (200, {"experiments": [{"name": "a"}, {"name": "b"}], "next": "b/é"}),
            (200, {"experiments": [{"name": "c"}], "next": None}),
        ]
        with Server(pages) as server:
            found = self.client(server).experiments(status="RUNNING", label="team=a&b", page=2)
            self.assertEqual([experiment["name"] for experiment in found], ["a", "b", "c"])
            first, second = (request.query for request in server.requests)
        self.assertEqual(first, {"status": ["RUNNING"], "label": ["team=a&b"], "limit": ["2"]})
        self.assertEqual(second, {**first, "after": ["b/é"]})

    def test_what_is_computed_may_take_longer_than_other_answers(self):
        with Server(lambda _: (200, {})) as server:
            made = self.client(server)

            def waits(request):
                request()
                return made._transport._own.connection.sock.gettimeout()

            experiment = made.experiment("e")
            computed = [made.verify, experiment.resample, experiment.importance, experiment.export, experiment.clean]
            self.assertEqual([waits(request) for request in computed], [600.0] * 5)
            self.assertEqual(waits(experiment.show), PATIENCE_S)
            self.assertEqual(server.connections, 1)

    def test_records_are_read_until_there_are_no_more(self):
        def record(seq, actor):
            header = bytes(6) + seq.to_bytes(8, "little") + bytes(17) + actor.to_bytes(4, "little") + bytes(36)
            return header, base64.b64encode(header).decode()

        first, second = record(4, 16), record((1 << 40) + 1, 1)
        def page(records, actors, next, more, history=None):
            return 200, {"records": records, "actors": actors, "next": next, "more": more, "history": history}

        pages = [
            page([first[1]], {"16": "ann"}, 9, True),
            # None of the records that were looked at is of this experiment.
            page([], {}, 20, True),
            page([second[1]], {}, (1 << 40) + 1, False),
        ]
        with Server(pages) as server:
            found = list(self.client(server).experiment("e").records(3, page=2))
            asked = [(request.query["after"], request.query["limit"]) for request in server.requests]
        self.assertEqual(found, [Record(4, "ann", first[0]), Record((1 << 40) + 1, None, second[0])])
        self.assertEqual(asked, [([after], ["2"]) for after in ("3", "9", "20")])
        # The numbers of one history mean nothing in another one.
        with Server([pages[0], page([second[1]], {}, 30, False, "1f2e3d4c")]) as server:
            found = self.client(server).experiment("e").records()
            self.assertEqual(next(found).seq, 4)
            with self.assertRaisesRegex(Error, "E0639"):
                next(found)

    def test_many_experiments_are_acted_on_by_so_many_at_a_time(self):
        with Server(lambda request: (200, {"results": [{"ok": True}] * len(request.body["experiments"])})) as server:
            results = self.client(server).bulk("pause", [str(number) for number in range(1001)])
            self.assertEqual([len(request.body["experiments"]) for request in server.requests], [1000, 1])
        self.assertEqual(len(results), 1001)
        with Server([]) as server:
            with self.assertRaisesRegex(TypeError, "a list of ids"):
                self.client(server).bulk("stop", "aezrb2qk")
            self.assertEqual(server.requests, [])
        for do, requests in (("pause", 2), ("remove", 1)):
            with Server([DROP, (200, {"results": []})]) as server:
                try:
                    self.client(server).bulk(do, ["a"])
                except Unreachable:
                    pass
                self.assertEqual(len(server.requests), requests)

    def test_all_events_are_those_from_now_on_unless_more_is_said(self):
        with Server([(200, {"ok": True, "head": 41, "place": "41@1f2e3d4c"}), (204, None), (204, None)]) as server:
            self.assertEqual(list(self.client(server).events()), [])
            self.assertEqual(list(self.client(server).events(0)), [])
            self.assertEqual([request.query for request in server.requests], [{}, {"after": ["41@1f2e3d4c"]}, {"after": ["0"]}])

    def test_labels_are_set_and_taken_away_and_one_says_who_sees_an_experiment(self):
        with Server(lambda _: (200, {"experiment": "e"})) as server:
            experiment = self.client(server).create({"name": "n"}, {"team": "a"}, private=True)
            experiment.label({"team": None, "note": "x"})
            experiment.label(private=True)
            experiment.label({"team": "b"}, private=False)
            experiment.label()
            sent = [request.body["labels"] for request in server.requests]
            self.assertEqual({request.path for request in server.requests[1:]}, {"/v1/experiments/e/labels"})
        self.assertEqual(sent[0], {"team": "a", "accessibility": "PRIVATE"})
        self.assertEqual(sent[1:3], [{"team": None, "note": "x"}, {"accessibility": "PRIVATE"}])
        self.assertEqual(sent[3:], [{"team": "b", "accessibility": "PUBLIC"}, {}])

    def test_the_token_is_sent_and_never_shown(self):
        with Server(lambda _: (200, {})) as server:
            made = self.client(server.url + "/", token="planted-key")
            made.experiment("e").show()
            self.assertEqual(server.requests[0].headers["Authorization"], "Bearer planted-key")
            self.assertNotIn("planted-key", repr(made) + repr(made.experiment("e")))

    def test_an_address_may_have_a_path(self):
        with Server(lambda _: (200, {})) as server:
            self.client(server.url + "/tuning/").experiment("e").show()
            self.assertEqual(server.requests[0].path, "/tuning/v1/experiments/e")
        for wrong in ("127.0.0.1:7340", "ftp://host", "http://"):
            with self.subTest(wrong), self.assertRaises(ValueError):
                Client(wrong)

    def test_logs_are_read_to_their_end(self):
        parts = [
            (200, {"text": "one\n", "next": "4", "at_end": False}),
            (200, {"text": "", "next": "4", "at_end": True}),
            (200, {"status": "RUNNING"}),
            (200, {"text": "two\n", "next": "8", "at_end": True}),
            (200, {"status": "SUCCEEDED"}),
            (200, {"text": "three\n", "next": "14", "at_end": True}),
        ]
        with Server(list(parts)) as server:
            text = "".join(self.client(server).experiment("e").logs(3, "stderr", task=1, follow=True))
            self.assertEqual(text, "one\ntwo\nthree\n")
            queries = [request.query for request in server.requests if request.path.endswith("/logs")]
        self.assertEqual([query.get("from") for query in queries], [None, ["4"], ["4"], ["8"]])
        self.assertEqual((queries[0]["stream"], queries[0]["task"]), (["stderr"], ["1"]))
        with Server(parts[:2]) as server:
            self.assertEqual("".join(self.client(server).experiment("e").logs(3)), "one\n")


class Repetition(ClientCase):
    def test_a_request_that_can_be_repeated_is_sent_again_after_a_lost_answer(self):
        with Server([DROP, (503, None), (429, None, {"Retry-After": "3"}), (200, {"name": "x"})]) as server:
            made = self.client(server)
            self.assertEqual(made.experiment("e").show(), {"name": "x"})
            self.assertEqual(len(server.requests), 4)
        self.assertEqual(made.pauses[2], 3.0)
        self.assertTrue(0 < made.pauses[0] < made.pauses[1] * 2.5)

    def test_creating_repeats_its_key_and_asking_its_number(self):
        created = (201, {"experiment": "new"})
        asked = (200, {"trials": []})
        with Server([DROP, created, created, DROP, asked, asked]) as server:
            made = self.client(server)
            experiment = made.create({"name": "n"}, {"team": "a"})
            made.create({"name": "n"}, idempotency_key="mine")
            experiment.ask()
            experiment.ask()
            keys = [request.headers["Idempotency-Key"] for request in server.requests[:3]]
            ids = [request.body["request_id"] for request in server.requests[3:]]
            self.assertEqual(server.requests[0].body, {"spec": {"name": "n"}, "labels": {"team": "a"}})
        self.assertEqual((keys[0], keys[2]), (keys[1], "mine"))
        self.assertTrue(ids[0] == ids[1] != ids[2])

    def test_a_request_that_must_not_be_repeated_is_not(self):
        for reply in (DROP, (502, None)):
            with Server([reply]) as server:
                with self.assertRaises(Error) as caught:
                    self.client(server).experiment("e").enqueue({"x": 1})
                self.assertEqual(len(server.requests), 1)
            self.assertEqual(isinstance(caught.exception, Unreachable), reply is DROP)

    def test_a_connection_that_was_closed_meanwhile_is_opened_again_even_for_what_must_not_be_repeated(self):
        made = None
        with Server(lambda _: (200, {}, {"Connection": "keep-alive"})) as server:
            made = self.client(server)
            made.experiment("e").show()
            connection = made._transport._own.connection
            # The other side ends it, and says nothing.
            connection.sock.shutdown(socket.SHUT_RD)
            made.experiment("e").enqueue({"x": 1})
            self.assertEqual((len(server.requests), server.connections), (2, 2))

    def test_nobody_there_is_said_when_the_patience_is_over(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            made = self.client(url, patience=0)
            for request in (made.experiment("e").show, lambda: made.experiment("e").enqueue({})):
                with self.assertRaisesRegex(Unreachable, "retrial serve"):
                    request()

    def test_what_is_said_of_a_trial_is_repeated_and_only_two_refusals_mean_that_it_is_gone(self):
        told = (200, {"ok": True})
        ended = (409, {"code": "E0405", "detail": "trial 3 is SUCCEEDED already"})
        fenced = (409, {"code": "E0420", "detail": "trial 3 is run under the lease 2"})
        other = (409, {"code": "E0412", "detail": "the daemon runs the trials of e itself"})
        with Server([DROP, told, DROP, ended, fenced, other]) as server:
            experiment = self.client(server).experiment("e")
            experiment.tell(3, 1, 0.5)
            for _ in range(2):
                with self.assertRaises(TakenOver):
                    experiment.tell(3, 1, 0.5)
            with self.assertRaises(Error) as caught:
                experiment.tell(3, 1, 0.5)
            self.assertNotIsInstance(caught.exception, TakenOver)
            self.assertEqual(len({json.dumps(request.body) for request in server.requests}), 1)


class Errors(ClientCase):
    def refused(self, *reply):
        with Server([reply]) as server:
            with self.assertRaises(Error) as caught:
                self.client(server).experiment("e").show()
        return caught.exception

    def test_a_refusal_says_what_the_daemon_said(self):
        error = self.refused(
            422,
            {
                "code": "E0410",
                "title": "invalid",
                "detail": "the specification is not valid",
                "help": "mend it",
                "errors": [{"code": "E0201", "path": "space.lr", "detail": "no numbers", "help": ""}],
            },
            {"Content-Type": "application/problem+json"},
        )
        self.assertEqual(
            (error.code, error.message, error.help), ("E0410", "the specification is not valid", "mend it")
        )
        self.assertEqual((error.details[0]["path"], error.status), ("space.lr", 422))
        self.assertEqual(str(error), "[E0410] the specification is not valid\n  space.lr: no numbers\n  help: mend it")

    def test_other_answers_are_errors_too(self):
        self.assertEqual(str(self.refused(500, b"<h1>oops</h1>")), "status 500: <h1>oops</h1>")
        self.assertEqual(str(self.refused(404, None)), "status 404")
        self.assertEqual(str(self.refused(400, ["no", "object"])), 'status 400: ["no", "object"]')
        self.assertIn("no JSON", str(self.refused(200, b"<html>")))

    def test_an_error_says_that_an_earlier_attempt_may_have_been_done(self):
        with Server([DROP, (409, {"code": "E0402", "detail": "it has ended"})]) as server:
            with self.assertRaisesRegex(Error, "may have been done") as caught:
                self.client(server).experiment("e").stop()
        self.assertTrue(caught.exception.repeated)

    def test_a_result_that_is_not_finite_is_refused_before_it_is_sent(self):
        with Server([]) as server:
            experiment = self.client(server).experiment("e")
            for result in (float("nan"), {"auc": float("inf")}):
                with self.assertRaises(ValueError):
                    experiment.tell(0, 1, result)
            self.assertEqual(server.requests, [])


if __name__ == "__main__":
    unittest.main()
