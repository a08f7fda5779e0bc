#!/usr/bin/env python3
"""Lets other tools search the problems of this benchmark and writes the same rows.

    python peers.py --quality target/release/quality --peers optuna-tpe,rustuna-tpe --out peers.jsonl

Every problem is served by `quality problem NAME`, so all tools see the same functions. The peers stand at their documented
defaults. Rows that are in the file already are not run again.
"""

import argparse
import contextlib
import heapq
import json
import math
import os
import random
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor

BLOCK = 10  # trials per entry of cpu_us
SEVERAL_METRICS = {"multi-objective", "constrained"}  # classes that are run only if they are named


class Problem:
    """One problem, answered by the benchmark's own program."""

    def __init__(self, quality, name):
        self.process = subprocess.Popen([quality, "problem", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        about = json.loads(self.process.stdout.readline())
        self.space, self.klass, self.noisy = about["space"], about["class"], about["noisy"]
        self.plain, self.objectives, self.bounds = about["plain"], about["objectives"], about["bounds"]

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{answer['error']}: {request}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def fill(space, pick, prefix=""):
    """The parameters that exist, in the nested form; `pick(name, kind, values)` chooses each."""
    params = {}
    for key, domain in space.items():
        kind, values = next(iter(domain.items()))
        name = prefix + key
        if kind != "choice":
            params[key] = pick(name, kind, values)
            continue
        branches = {option["_name"]: option for option in values if isinstance(option, dict)}
        taken = pick(name, kind, list(branches) or values)
        if branches:
            below = {child: form for child, form in branches[taken].items() if child != "_name"}
            params[key] = {"_name": taken, **fill(below, pick, f"{name}.{taken}.")}
        else:
            params[key] = taken
    return params


def suggest(trial):
    """`pick` by the interface that Optuna and Rustuna share."""

    def pick(name, kind, values):
        match kind:
            case "uniform" | "loguniform":
                return trial.suggest_float(name, values[0], values[1], log=kind == "loguniform")
            case "randint":
                return trial.suggest_int(name, values[0], values[1] - 1)
            case "qloguniform" if values[2] == 1:
                return trial.suggest_int(name, values[0], values[1], log=True)
            case "choice":
                return trial.suggest_categorical(name, values)
        raise ValueError(f"{name}: no counterpart of {kind} {values}")

    return pick


class Random:
    """Independent draws, without any tool."""

    def __init__(self, seed, problem):
        self.random = random.Random(seed)

    def ask(self, space):
        return None, fill(space, self.pick)

    def pick(self, name, kind, values):
        match kind:
            case "uniform":
                return self.random.uniform(*values)
            case "loguniform":
                return math.exp(self.random.uniform(*map(math.log, values)))
            case "randint":
                return self.random.randrange(*values)
            case "qloguniform":
                low, high = math.log(values[0]), math.log(values[1])
                return round(math.exp(self.random.uniform(low, high)))
            case "choice":
                return self.random.choice(values)
        raise ValueError(f"{name}: no counterpart of {kind} {values}")

    def tell(self, token, metrics):
        pass


class Study:
    """Optuna's ask and tell, which Rustuna has as well."""

    def __init__(self, study):
        self.study = study

    def ask(self, space):
        trial = self.study.ask()
        return getattr(trial, self.token) if self.token else trial, fill(space, suggest(trial))

    def tell(self, token, metrics):
        self.study.tell(token, metrics[0])


class Optuna(Study):
    token = None

    def __init__(self, seed, problem, kind):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        quiet = {"warn_independent_sampling": False}
        self.objectives, bounds = problem.objectives, problem.bounds
        if bounds:
            # What is at most 0 is feasible; bounds are made comparable as in the engine.
            def excess(trial):
                return [(m - b) / (abs(b) or 1.0) for m, b in zip(trial.user_attrs["others"], bounds)]

        limits = {"constraints_func": excess} if bounds else {}
        samplers = optuna.samplers
        if kind == "gp":
            import torch

            torch.set_num_threads(1)
            sampler = samplers.GPSampler(seed=seed, **quiet, **limits)
        elif kind == "nsga2":
            sampler = samplers.NSGAIISampler(seed=seed, **limits)
        elif kind == "nsga3":
            sampler = samplers.NSGAIIISampler(seed=seed, **limits)
        elif kind == "cma":
            sampler = samplers.CmaEsSampler(seed=seed, **quiet)
        else:
            sampler = samplers.TPESampler(seed=seed, **limits)
        super().__init__(optuna.create_study(directions=["minimize"] * self.objectives, sampler=sampler))

    def tell(self, token, metrics):
        token.set_user_attr("others", metrics[self.objectives :])
        self.study.tell(token, metrics[: self.objectives])


class Rustuna(Study):
    token = "number"

    def __init__(self, seed, problem):
        import rustuna

        sampler = rustuna.samplers.TPESampler(seed=seed)
        super().__init__(rustuna.create_study(direction="minimize", sampler=sampler))


PEERS = {
    "python-random": Random,
    "optuna-tpe": lambda seed, problem: Optuna(seed, problem, "tpe"),
    "optuna-gp": lambda seed, problem: Optuna(seed, problem, "gp"),
    "optuna-cma": lambda seed, problem: Optuna(seed, problem, "cma"),
    "optuna-nsga2": lambda seed, problem: Optuna(seed, problem, "nsga2"),
    "optuna-nsga3": lambda seed, problem: Optuna(seed, problem, "nsga3"),
    "rustuna-tpe": Rustuna,
}


def race(job):
    """One run. Trials end on a counted clock, as in the benchmark itself."""
    quality, peer, name, seed, trials, concurrency = job
    with contextlib.closing(Problem(quality, name)) as problem:
        warm = PEERS[peer](seed + 1_000_003, problem)
        for value in range(12):  # imports and first calls are not what is measured
            warm.tell(warm.ask(problem.space)[0], [float(value)] * (problem.objectives + len(problem.bounds)))
        solver, costs, seen, twice = PEERS[peer](seed, problem), [], set(), 0
        running, now, ended, best, curve = [], 0.0, 0, math.inf, []
        while True:
            while len(running) < concurrency and len(costs) < trials:
                began, trial = time.process_time(), len(costs)
                token, params = solver.ask(problem.space)
                costs.append(time.process_time() - began)
                text = json.dumps(params, sort_keys=True)
                twice += text in seen
                seen.add(text)
                answer = problem.ask(params=params, seed=seed, trial=trial)
                metrics = answer["metrics"] if not problem.plain else [answer["value"]]
                heapq.heappush(running, (now + answer["took"], trial, token, params, metrics))
            if not running:
                break
            now, trial, token, params, metrics = heapq.heappop(running)
            began = time.process_time()
            solver.tell(token, metrics)
            costs[trial] += time.process_time() - began
            ended += 1
            value = metrics[0]
            if not problem.plain:
                if (reached := problem.ask(ended=metrics)["reached"]) is not None:
                    curve.append([ended, reached])
            elif value < best:
                best = value
                curve.append([ended, problem.ask(params=params)["value"] if problem.noisy else value])
        blocks = [costs[i : i + BLOCK] for i in range(0, len(costs), BLOCK)]
        return {
            "solver": peer,
            "problem": name,
            "class": problem.klass,
            "seed": seed,
            "trials": trials,
            "concurrency": concurrency,
            "curve": curve,
            "cpu_us": [round(1e6 * sum(block) / len(block), 1) for block in blocks],
            "duplicates": twice,
        }



def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", default="target/release/quality", help="the benchmark's program")
    parser.add_argument("--peers", default="optuna-tpe,rustuna-tpe", help=", ".join(PEERS))
    parser.add_argument("--problems", default="", help="names or classes; by default all whose trials have one metric")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--out", default="peers.jsonl")
    args = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    listed = subprocess.run([args.quality, "list"], check=True, capture_output=True, text=True).stdout
    known = [line.split() for line in listed.splitlines()]
    wanted = set(filter(None, args.problems.split(",")))
    names = [name for name, klass in known if wanted & {name, klass} or not wanted and klass not in SEVERAL_METRICS]
    peers = args.peers.split(",")
    if unknown := (wanted - {word for pair in known for word in pair}) | (set(peers) - set(PEERS)):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    done = set()
    if os.path.exists(args.out):
        with open(args.out, encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                done.add(tuple(row[key] for key in ("solver", "problem", "seed", "trials", "concurrency")))
    jobs = [
        (args.quality, peer, name, seed, args.trials, args.concurrency)
        for seed in range(args.seeds)
        for peer in peers
        for name in names
        if (peer, name, seed, args.trials, args.concurrency) not in done
    ]
    with ProcessPoolExecutor(args.jobs) as pool, open(args.out, "a", encoding="utf-8") as out:
        for row in pool.map(race, jobs):
            out.write(json.dumps(row) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
