#!/usr/bin/env python3
"""Times PyTorch's attention on an NVIDIA GPU for bench/targets-gpu, which starts it.

Reads names of cases, METHOD/bfloat16/nTOKENS/dSIZE/hHEADS/kvHEADS, and answers each with
`SECONDS RMS QUEUED` as bench/gpu/main.cpp does. METHOD is cudnn or flash (both causal), flex (the
sink_window), rows16 (16 rows over all keys by whatever is fastest) or copy (as many bytes as keys
and values have). `once NAME` times the first call; `context` and `free` are as there.
"""

import json
import re
import sys
from contextlib import nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention as sdpa

SINKS, WINDOW = 1024, 2048  # as in bench/gpu/methods.hpp
SAMPLE, MOST_CALLS = 0.03, 100  # seconds and calls, as in bench/gpu/main.cpp
HOLD = 20_000_000  # cycles, ten milliseconds
CUDNN, FLASH = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
BACKENDS = {"cudnn": [CUDNN], "flash": [FLASH],
            "rows16": [CUDNN, FLASH, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]}


class Call:
    """Something to time, and the context that it needs."""

    def __init__(self, function, context=nullcontext):
        self.function, self.context, self.calls = function, context, 1

    def timed(self):
        """(seconds of a call on the stream, whether the host was ahead all the time)"""
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with self.context():
            if self.calls > 1:
                torch.cuda._sleep(HOLD)
            start.record()
            for _ in range(self.calls):
                self.function()
            stop.record()
        queued = self.calls == 1 or not start.query()
        stop.synchronize()
        return 1e-3 * start.elapsed_time(stop) / self.calls, queued

    def rms(self):
        with self.context():
            out = self.function()
        # In parts: a float copy of everything may not fit.
        parts = [x.float().square().mean() for x in out.flatten(0, 1)]
        return torch.stack(parts).mean().sqrt().item()

    def warm_up(self):
        with self.context():
            self.function()
        seconds, _ = self.timed()
        self.calls = int(min(max(SAMPLE / seconds, 1), MOST_CALLS))
        return self


def fastest(calls):
    """The fastest of those that work."""
    best, failures = None, []
    for call in calls:
        try:
            call.warm_up()
            seconds = min(call.timed()[0] for _ in range(3 if call.calls > 1 else 1))
        except RuntimeError as failure:
            failures.append(str(failure))
        else:
            if best is None or seconds < best[0]:
                best = seconds, call
    if best is None:
        raise RuntimeError("; ".join(failures))
    return best[1]


def sink_window(batch, head, query, key):
    return (query >= key) & ((key < SINKS) | (key > query - WINDOW))


def sink_window_blocks(tokens, block=128):
    """What create_block_mask makes of sink_window, without looking at every pair."""
    first = torch.arange(0, tokens, block, device="cuda")
    q0, k0 = first[:, None], first[None, :]
    q1, k1 = q0 + block - 1, k0 + block - 1
    some = (k0 <= q1) & ((k0 < SINKS) | (k1 > q0 - WINDOW))
    every = (k1 <= q0) & ((k1 < SINKS) | (k0 > q1 - WINDOW))

    def lists(blocks):
        order = torch.argsort(blocks.int(), dim=1, descending=True, stable=True)
        return blocks.sum(1).int()[None, None], order.int()[None, None].contiguous()

    return BlockMask.from_kv_blocks(*lists(some & ~every), *lists(every), BLOCK_SIZE=block,
                                    mask_mod=sink_window, seq_lengths=(tokens, tokens))


def parse(name):
    """(method, tokens, d, heads, kv heads)"""
    match = re.fullmatch(r"(\w+)/bfloat16/n(\d+)/d(\d+)/h(\d+)/kv(\d+)", name)
    if match is None:
        raise ValueError(f"no case: {name}")
    return match[1], *map(int, match.groups()[1:])


class Server:
    def __init__(self):
        self.tensors, self.cases = {}, {}

    def make(self, *shape):
        if shape not in self.tensors:
            queries, tokens, d, heads, kv_heads = shape
            self.tensors[shape] = [
                torch.randn(1, h, n, d, device="cuda", dtype=torch.bfloat16)
                for h, n in ((heads, queries), (kv_heads, tokens), (kv_heads, tokens))]
        return self.tensors[shape]

    def candidates(self, name, repeated=True):
        """Calls that do what `name` says, also with kv heads repeated beforehand, for nothing."""
        method, tokens, d, heads, kv_heads = parse(name)
        if method == "copy":
            source = torch.randn(2, kv_heads, tokens, d, device="cuda", dtype=torch.bfloat16)
            target = torch.empty_like(source)
            return [Call(lambda: target.copy_(source))]
        few = method == "rows16"
        q, k, v = self.make(16 if few else tokens, tokens, d, heads, kv_heads)
        if method == "flex":
            blocks = sink_window_blocks(tokens)
            compiled = torch.compile(flex_attention, dynamic=False)
            return [Call(lambda: compiled(q, k, v, block_mask=blocks, enable_gqa=True))]
        # PyTorch aligns the first query with the first key: few rows go without a mask.
        functions = [lambda: sdpa(q, k, v, is_causal=not few, enable_gqa=True)]
        if repeated:
            wide_k, wide_v = (x.repeat_interleave(heads // kv_heads, 1) for x in (k, v))
            functions.append(lambda: sdpa(q, wide_k, wide_v, is_causal=not few))
        return [Call(function, lambda backend=backend: sdpa_kernel(backend))
                for backend in BACKENDS[method] for function in functions]

    def answer(self, line):
        if line == "free":
            self.tensors, self.cases = {}, {}
            torch.cuda.empty_cache()
            return "freed"
        if line == "context":
            return json.dumps({"pytorch": torch.__version__, "cuda": torch.version.cuda,
                               "cudnn": torch.backends.cudnn.version()})
        if line.startswith("once "):
            seconds, queued = self.candidates(line[5:], repeated=False)[0].timed()
            return f"{seconds} 0 {queued:d}"
        if line not in self.cases:
            call = fastest(self.candidates(line))
            self.cases[line] = call, call.rms()
        call, rms = self.cases[line]
        seconds, queued = call.timed()
        return f"{seconds} {rms} {queued:d}"


def main():
    server = Server()
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever else is printed
    with torch.no_grad():
        for line in sys.stdin:
            try:
                answer = server.answer(line.strip())
            except Exception as failure:  # the next case may work
                answer = f"error {type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
            print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
