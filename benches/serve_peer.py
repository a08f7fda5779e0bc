"""Optuna under the same load as the daemon: clients that ask and tell through its gRPC proxy, over SQLite.

    pip install optuna grpcio protobuf sqlalchemy
    python3 benches/serve_peer.py [CLIENTS] [SECONDS]

Each client is a thread; threads are spread over a few processes, so that the clients' interpreter lock bounds them less.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time

import optuna


def objective_space(trial):
    for axis in range(6):
        trial.suggest_float(f"x{axis}", 0, 1)
    trial.suggest_float("lr", 1e-5, 1.0, log=True)
    trial.suggest_int("n", 1, 99)
    trial.suggest_categorical("a", ["a", "b", "c"])
    trial.suggest_categorical("b", [1, 2, 4, 8])
    return trial.params["x0"]


def serve(path, port):
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=port, thread_pool=None)


def clients(port, name, threads, end, out):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    times = []

    def work():
        storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
        study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
        while time.time() < end:
            began = time.perf_counter()
            trial = study.ask()
            value = objective_space(trial)
            asked = time.perf_counter()
            study.tell(trial, value)
            times.append((asked - began, time.perf_counter() - asked))

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    out.put(times)


def measured(port, count, seconds):
    name = f"study-{count}"
    storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
    optuna.create_study(study_name=name, storage=storage)
    processes = min(count, 8)
    # Loading the library takes its time: all begin together after it.
    end = time.time() + 10 + seconds
    out = multiprocessing.Queue()
    running = [
        multiprocessing.Process(target=clients, args=(port, name, count // processes, end, out)) for _ in range(processes)
    ]
    for process in running:
        process.start()
    times = [pair for _ in running for pair in out.get()]
    for process in running:
        process.join()
    asks, tells = (sorted(pair[place] * 1e3 for pair in times) for place in (0, 1))
    at = lambda values, share: values[min(int(len(values) * share), len(values) - 1)]
    print(
        f"{count} clients: {len(times) / (10 + seconds):.1f} trials/s; ask p50 {at(asks, 0.5):.1f} ms, p99 {at(asks, 0.99):.1f} ms; "
        f"tell p50 {at(tells, 0.5):.1f} ms, p99 {at(tells, 0.99):.1f} ms"
    )


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    port = 13370
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        server = multiprocessing.Process(target=serve, args=(os.path.join(folder, "optuna.db"), port), daemon=True)
        server.start()
        time.sleep(5)
        print(f"optuna {optuna.__version__}, gRPC proxy over SQLite")
        measured(port, 1, seconds)
        measured(port, count, seconds)
        server.kill()


if __name__ == "__main__":
    main()
