#!/usr/bin/env python3
"""Times PyTorch's attention on the CPU and this library in turns, and prints the ratios.

    compare.py [--json FILE] SERVE...

SERVE is the command that answers names of cases with times: `./quickstart bench serve`. Each round
times ours, then each peer; a ratio is the median over the rounds of theirs / ours.
"""

import argparse
import json
import math
import os
import subprocess
import time
from statistics import median

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention as sdpa

ROUNDS, SLOW_ROUNDS = 7, 2  # a call that takes a second is slow
SECONDS = 0.2  # of a sample, at least
SINKS, WINDOW = 256, 512  # as in bench/cases.hpp
HEADS, KV_HEADS, HEAD_SIZE = 8, 2, 128


def causal(batch, head, query, key):
    return query >= key


def sink_window(batch, head, query, key):
    return (query >= key) & ((key < SINKS) | (key > query - WINDOW))


MASKS = {"dense": causal, "sink_window": sink_window}


def thread_clock(thread):
    """The CPU clock of one thread, as the kernel numbers it (see clock_getcpuclockid). The clock of
    the process counts other threads only at the scheduler's ticks."""
    return (~int(thread) << 3) | 6


def cpu_seconds():
    return sum(time.clock_gettime(thread_clock(t)) for t in os.listdir("/proc/self/task"))


def timed(call, calls):
    """Seconds of a call: on the wall's clock, and of all threads together."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(calls):
        call()
    wall = time.perf_counter() - wall
    return wall / calls, (cpu_seconds() - cpu) / calls


def plan(call):
    """(rounds, calls in a sample), by how long a call takes."""
    wall, _ = timed(call, 1)
    return SLOW_ROUNDS if wall > 1 else ROUNDS, math.ceil(SECONDS / wall)


def peers_of(mask, element, tokens, compiled_flex):
    """name -> call, in the layout that PyTorch likes best: (batch, head, token, channel)."""
    generator = torch.Generator().manual_seed(1)

    def tensor(heads):
        x = torch.randn(1, heads, tokens, HEAD_SIZE, generator=generator)
        return x.to(getattr(torch, element))

    q, k, v = tensor(HEADS), tensor(KV_HEADS), tensor(KV_HEADS)
    # The key-value heads repeated beforehand, for nothing: whichever way is faster counts.
    wide_k, wide_v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
    if mask == "dense":
        rule = {"is_causal": True}
    else:
        i, j = torch.arange(tokens)[:, None], torch.arange(tokens)[None, :]
        rule = {"attn_mask": MASKS[mask](0, 0, i, j)}
    grouped = lambda: sdpa(q, k, v, enable_gqa=True, **rule)
    repeated = lambda: sdpa(q, wide_k, wide_v, **rule)
    blocks = create_block_mask(MASKS[mask], None, None, tokens, tokens, device="cpu")
    flex = lambda: compiled_flex(q, k, v, block_mask=blocks, enable_gqa=True)
    error = (flex().float() - grouped().float()).abs().max().item()
    assert error < 0.05, f"the peers disagree on {mask}: {error}"
    fastest = min((grouped, repeated), key=lambda call: timed(call, 1)[1])
    return {"scaled_dot_product_attention": fastest, "flex_attention": flex}


class Ours:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def timed(self, case):
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"{self.process.args} did not answer {case}")
        return tuple(float(x) for x in answer)


def compare(ours, case, peers):
    plans = {name: plan(call) for name, call in peers.items()}
    ours.timed(case)
    mine, theirs = [], {name: [] for name in peers}
    for done in range(ROUNDS):
        mine.append(ours.timed(case))
        for name, call in peers.items():
            rounds, calls = plans[name]
            if done < rounds:
                theirs[name].append(timed(call, calls))
    rows = []
    for name, times in theirs.items():
        rows.append(
            {
                "case": case,
                "peer": name,
                "version": torch.__version__,
                "ours_cpu_s": median(m[1] for m in mine),
                "ours_wall_s": median(m[0] for m in mine),
                "peer_cpu_s": median(t[1] for t in times),
                "peer_wall_s": median(t[0] for t in times),
                "ratio": median(t[1] / m[1] for t, m in zip(times, mine)),
                "ratio_wall": median(t[0] / m[0] for t, m in zip(times, mine)),
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    parser.add_argument("serve", nargs=argparse.REMAINDER, help="the command that answers cases")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    ours, rows = Ours(arguments.serve), []
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"{torch.backends.cpu.get_cpu_capability()}; times are CPU ms of all threads")
    print(f"{'case':38} {'peer':30} {'ours':>8} {'theirs':>8} {'ratio':>7} {'wall':>7}")
    for mask, tokens in (("dense", 4096), ("sink_window", 8192)):
        for element in ("float", "bfloat16"):
            case = f"{mask}/{element}/n{tokens}/d{HEAD_SIZE}/h{HEADS}/kv{KV_HEADS}"
            torch.compiler.reset()
            with torch.no_grad():
                peers = peers_of(mask, element, tokens, torch.compile(flex_attention))
                new = compare(ours, case, peers)
            for row in new:
                print(f"{case:38} {row['peer']:30} {1e3 * row['ours_cpu_s']:8.1f} "
                      f"{1e3 * row['peer_cpu_s']:8.1f} {row['ratio']:6.2f}x "
                      f"{row['ratio_wall']:6.2f}x", flush=True)
            rows += new
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
