"""The main loop of an AMD kernel, read from the assembly that `hipcc -S` writes, and a paper model of it.

What is found, and how
----------------------
kernels(text)      the functions of a file, by mangled name.
main_loop(kernel)  the innermost loop that has both v_mfma and s_barrier (the team stages each tile of
                   keys between barriers); where no loop has both, the innermost with v_mfma; of
                   several, the one with most v_mfma. Loops are natural loops: a branch back to a block
                   that every way into the loop passes; but an inner one that is entered at several
                   blocks, too, is gone through once.
Its blocks have a role each:
  always    every way through the loop passes it, or nothing below applies
  mask      only partly visible tiles: compares and selects, or code under the execution mask
  rescale   only when a row's maximum rises: multiplies of the output
  option    an option of the call that is off by default: softcap, which takes exponentials of its own
Only what some way through the loop leaves out can be mask, rescale or option, and never a block with
v_mfma. A role is given to a whole region, the outermost first: all blocks on one side of a branch,
up to where its ways meet again, that no other side has. By what it holds, the first that fits, a
region is
  option    8 or more exponentials
  mask      lanes that go separate ways (s_*_saveexec), which full tiles have no need of; or 6 or more
            v_cndmask, and of all vector instructions a quarter v_cmp or v_cndmask
  rescale   8 or more vector instructions, 9 of 10 of them multiplies
Two limits of that: a mask that hides keys by arithmetic alone counts as `always`, and a walk over
tiles whose lanes go separate ways counts as `mask`. (A walk that is the same for all lanes is
`always`, though gfx9 compares its 64-bit numbers by v_cmp.) So the program prints what it left out.

Loop.tile(...) is the way that a tile takes: of all ways from the loop's head back to it, the one with
most v_mfma, then with fewest instructions of roles that were not asked for and most of those that
were, then with most issue cycles, or with fewest (shortest=True). The walk over tiles asks the mask
about eight tiles at a time: seven of them take about the shortest way, one at most the longest; the
program models such eight, too. Inner loops are walked once at most; they are told of in `notes`, as
are calls.

The model
---------
simulate(): one SIMD, which issues to its waves every 4 cycles. Assumed, none of it measured here:
  1  waves issue in order, one instruction each slot of 4 cycles; in a slot the SIMD starts at most
     one vector instruction (VALU or MFMA), one LDS, one global memory and one scalar instruction,
     each from another wave
  2  v_mfma 32x32x8 takes the matrix pipe for 32 cycles on gfx942 and 64 on gfx90a, 16x16x16 for 16
     and 32 (AMD's peak FLOP/s follow from these); the pipe works on while others issue
  3  VALU 4 cycles, packed float included; transcendental instructions and 32-bit integer multiplies
     16 (a quarter of the rate)
  4  the LDS moves 128 bytes a cycle for four SIMDs that all do the same, without bank conflicts (the
     emulator's tests check those), a few instructions may queue, and data comes 96 cycles after it
     was sent: 128 for a read of 16 bytes a lane
  5  global loads come after 800 cycles, scalar loads after 200; caches and bandwidth never limit
  6  s_waitcnt waits for what the compiler wrote, s_nop as long as written
  7  two waves a SIMD, of independent workgroups: their barriers cost 16 cycles and no waiting (the
     four waves of a workgroup are on four SIMDs that do the same). together=True: the waves are of
     one workgroup and meet at each barrier
  8  which wave issues first is drawn in each slot (always the same draws): with a fixed order waves
     can lock in step, and three scalar instructions more or less move the result by a tenth
  9  every tile is full and takes the same way; nothing before and after the loop counts; dependent
     instructions do not wait for each other beyond s_nop and s_waitcnt
"""

import random
import re
import subprocess
from collections import Counter

ROLES = ('mask', 'rescale', 'option')
SLOT = 4  # cycles


# --- instructions

class Instruction:
    def __init__(self, text):
        self.text = text
        self.op = text.split()[0]
        self.kind = kind_of(self.op)

    def waits(self):
        """(vmcnt, lgkmcnt) that s_waitcnt waits for; None: for any."""
        if self.op == 's_waitcnt' and re.search(r's_waitcnt\s+0\s*$', self.text):
            return 0, 0
        found = [re.search(name + r'\((\d+)\)', self.text) for name in ('vmcnt', 'lgkmcnt')]
        return tuple(int(m[1]) if m else None for m in found)


KINDS = (  # the first that fits
    ('mfma', r'v_mfma'),
    ('accvgpr', r'v_accvgpr'),
    ('transcendental', r'v_(exp|log|rcp|rsq|sqrt|sin|cos)_'),
    ('multiply', r'v_(mul_lo_[ui]32|mul_hi_[ui]32|mad_[ui]64_[ui]32)'),
    ('lane_move', r'v_(read|write)lane'),  # mostly scalar registers that were spilled into vector ones
    ('valu', r'v_'),
    ('lds_read', r'ds_(read|load)'),
    ('lds_write', r'ds_(write|store)'),
    ('lds_other', r'ds_'),
    ('scratch', r'scratch_'),
    ('global_load', r'(global|buffer|flat)_load'),
    ('global_store', r'(global|buffer|flat)_'),
    ('wait', r's_waitcnt'),
    ('barrier', r's_barrier'),
    ('branch', r's_c?branch'),
    ('call', r's_swappc'),
    ('scalar_load', r's_(buffer_)?load'),
    ('salu', r's_'),
    ('other', r''),
)
VECTOR = ('mfma', 'accvgpr', 'transcendental', 'multiply', 'lane_move', 'valu')
LDS = ('lds_read', 'lds_write', 'lds_other')
GLOBAL = ('global_load', 'global_store', 'scratch')


def kind_of(op):
    return next(kind for kind, pattern in KINDS if re.match(pattern, op))


def counts(instructions):
    return Counter(i.kind for i in instructions)


def mfma_cycles(op, target):
    on_gfx942 = 32 if '32x32x8' in op else 16 if '16x16x16' in op else None
    if on_gfx942 is None:
        raise ValueError(f'{op}: no cycles known for it')
    return on_gfx942 * (2 if target == 'gfx90a' else 1)


def issue_cycles(instructions):
    """Of one wave alone: what the vector slots of all but v_mfma take."""
    return sum(16 if i.kind in ('transcendental', 'multiply') else SLOT
               for i in instructions if i.kind in VECTOR and i.kind != 'mfma')


def lds_bytes(op):
    """A lane's."""
    size = re.search(r'b(\d+)', op)
    return (int(size[1]) // 8 if size else 4) * (2 if re.search(r'(read|write|load|store)2', op) else 1)


# --- functions and blocks

def kernels(text):
    """The functions of an assembly file: mangled name -> lines."""
    result = {}
    for match in re.finditer(r'^(\w+):\s*; @\1$(.*?)^\.Lfunc_end\d+:', text, flags=re.M | re.S):
        result[match[1]] = match[2].split('\n')
    return result


def demangled(names):
    return subprocess.run(['c++filt'], input='\n'.join(names), text=True, check=True,
                          stdout=subprocess.PIPE).stdout.splitlines()


class Block:
    def __init__(self, label):
        self.label = label
        self.instructions = []
        self.next = []  # indices of blocks, the one it falls into first

    def has(self, *kinds):
        return any(i.kind in kinds for i in self.instructions)


def blocks_of(lines):
    """Basic blocks, in the order of the text; the first is the entry."""
    blocks, targets = [Block('entry')], []
    for line in lines:
        label = re.match(r'(\.LBB\d+_\d+):', line) or re.match(r'; (%bb\.\d+):', line)
        if label and blocks[-1].instructions:
            blocks.append(Block(label[1]))
        elif label and label[1].startswith('.') and blocks[-1].label.startswith('.'):
            blocks.append(Block(label[1]))  # two labels of one place
        elif label:
            blocks[-1].label = label[1]
        text = line.split(';')[0].strip()
        if label or not text or text.startswith('.') or text.endswith(':'):
            continue
        blocks[-1].instructions.append(Instruction(text))
        if re.match(r's_(c?branch|endpgm|setpc)', text):
            blocks.append(Block('after ' + blocks[-1].label))
    number = {block.label: i for i, block in enumerate(blocks)}
    for i, block in enumerate(blocks):
        last = block.instructions[-1] if block.instructions else None
        # (No wave runs without lanes: s_cbranch_execnz goes where it says.)
        if last is None or not re.match(r's_(branch|cbranch_execnz|endpgm|setpc)', last.op):
            block.next += [i + 1] if i + 1 < len(blocks) else []
        if last is not None and last.kind == 'branch':
            block.next.append(number[last.text.split()[1]])
    return blocks


# --- graphs; a graph is a list of successors

def reachable(graph, start, without=()):
    seen, todo = set(), [start]
    while todo:
        node = todo.pop()
        if node in seen or node in without:
            continue
        seen.add(node)
        todo += graph[node]
    return seen


def dominators(graph, start):
    """node -> the set of nodes on every way from `start` to it. Small graphs: by iteration."""
    nodes = reachable(graph, start)
    before = {n: [p for p in nodes if n in graph[p]] for n in nodes}
    result = {n: set(nodes) for n in nodes}
    result[start] = {start}
    changed = True
    while changed:
        changed = False
        for node in sorted(nodes - {start}):
            new = set.intersection(*(result[p] for p in before[node])) | {node}
            if new != result[node]:
                result[node], changed = new, True
    return result


def natural_loops(graph, start):
    """head -> nodes of the loop."""
    above = dominators(graph, start)
    before = {n: [p for p in above if n in graph[p]] for n in above}
    result = {}
    for node in above:
        for head in graph[node]:
            if head in above[node]:
                nodes, todo = {head}, [node]
                while todo:
                    n = todo.pop()
                    if n not in nodes:
                        nodes.add(n)
                        todo += before[n]
                result[head] = result.get(head, set()) | nodes
    return result


# --- the main loop

class Loop:
    """One loop of a kernel: its blocks, their roles, and the ways through it."""

    def __init__(self, blocks, head, nodes, inner):
        self.head, self.nodes = head, nodes
        self.blocks = {n: blocks[n] for n in nodes}
        self.notes = []
        self.graph = self._once_around(inner)
        self.roles = self._roles()

    def _once_around(self, inner):
        """The loop without its way back: node -> successors, of which -1 is the loop's end. Inner
        loops go on from their last block to where they can be left for."""
        graph = {n: [-1 if m == self.head else m for m in self.blocks[n].next
                     if m in self.nodes] for n in self.nodes}
        graph[-1] = []
        if inner:
            self.notes.append(f'{len(inner)} inner loops')
        for head, nodes in sorted(inner.items(), key=lambda item: len(item[1])):
            if any(self.blocks[n].has('mfma') for n in nodes):
                self.notes.append(f'v_mfma in an inner loop at {self.blocks[head].label}')
            left_for = {m for n in nodes for m in graph[n] if m not in nodes}
            for n in nodes:
                if head in graph[n]:
                    graph[n] = [m for m in graph[n] if m != head]
                    graph[n] += sorted(left_for - set(graph[n]))
        self.order = self._topological(graph)
        if any(b.has('call') for b in self.blocks.values()):
            self.notes.append('a call')
        return graph

    def _topological(self, graph):
        order, state = [], {}
        todo = [(self.head, iter(graph[self.head]))]
        state[self.head] = 'open'
        while todo:
            node, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                state[node] = 'done'
                order.append(node)
                todo.pop()
            elif state.get(following) == 'open':
                # An inner loop with several heads, which is no natural one: its way back is cut, too.
                cycle = [n for n, _ in todo]
                cycle = set(cycle[cycle.index(following):])
                left_for = {m for n in cycle for m in graph[n] if m not in cycle}
                graph[node] = [m for m in graph[node] if m != following]
                graph[node] += sorted(left_for - set(graph[node]))
                todo[-1] = (node, iter(graph[node]))
                self.notes.append(f'several heads at {self.blocks[following].label}')
            elif following not in state:
                state[following] = 'open'
                todo.append((following, iter(graph[following])))
        return order[::-1]

    def _roles(self):
        roles = {n: 'always' for n in self.nodes}
        backwards = {n: [m for m in self.order if n in self.graph[m]] for n in self.order}
        after = dominators(backwards, -1)  # node -> what every way on from it passes
        always = after[self.head]
        done = set()
        for node in self.order:
            ways = [m for m in self.graph[node] if m in after]
            if len(ways) < 2 or node in done:
                continue
            # The first block where all ways from here have met again.
            meeting = set.intersection(*(after[m] for m in ways))
            meet = next(n for n in self.order if n in meeting)
            sides = [reachable(self.graph, m, without={meet}) for m in ways]
            for side in sides:
                region = side.difference(always, *(other for other in sides if other is not side))
                role = role_of([self.blocks[n] for n in region])
                if role:
                    roles.update({n: role for n in region if n not in done})
                    done |= region
        return roles

    def tile(self, *roles, shortest=False):
        """The instructions of one tile, with the blocks of these roles; see above."""
        best = {-1: ((0, 0, 0), None)}
        for node in reversed(self.order):
            ways = [(best[m][0], m) for m in self.graph.get(node, []) if m in best]
            if node == -1 or not ways:
                continue
            value, following = max(ways, key=lambda way: way[0])
            instructions, role = self.blocks[node].instructions, self.roles[node]
            mine = 0 if role == 'always' else len(instructions) * (1 if role in roles else -1)
            long = issue_cycles(instructions) + len(instructions)
            best[node] = ((value[0] + counts(instructions)['mfma'], value[1] + mine,
                           value[2] + (-long if shortest else long)), following)
        result, node = [], self.head
        while node != -1:
            result += self.blocks[node].instructions
            node = best[node][1]
        return result

    def of_role(self, role):
        return [i for n in sorted(self.nodes) if self.roles[n] == role
                for i in self.blocks[n].instructions]


def role_of(region):
    """What a region of blocks is for, None: nothing special; see above."""
    instructions = [i for block in region for i in block.instructions]
    kinds = counts(instructions)
    vector = [i.op for i in instructions if i.kind in VECTOR]
    if not region or kinds['mfma']:
        return None
    if sum('v_exp_' in op for op in vector) >= 8:
        return 'option'
    share = lambda pattern: sum(bool(re.match(pattern, op)) for op in vector) / max(1, len(vector))
    if any('saveexec' in i.op for i in instructions):
        return 'mask'
    if sum('v_cndmask' in op for op in vector) >= 6 and share(r'v_(cmp|cndmask)') >= 0.25:
        return 'mask'
    if len(vector) >= 8 and share(r'v_(pk_)?mul_') >= 0.9:
        return 'rescale'
    return None


def main_loop(lines):
    """The main loop of a kernel, None where no loop has v_mfma."""
    blocks = blocks_of(lines)
    loops = natural_loops([b.next for b in blocks], 0)
    have = lambda kinds: {h: nodes for h, nodes in loops.items()
                          if all(any(blocks[n].has(k) for n in nodes) for k in kinds)}
    candidates = have(['mfma', 'barrier']) or have(['mfma'])
    innermost = {h: nodes for h, nodes in candidates.items()
                 if not any(nodes > other for other in candidates.values())}
    if not innermost:
        return None
    mfmas = lambda h: sum(counts(blocks[n].instructions)['mfma'] for n in innermost[h])
    head = max(innermost, key=mfmas)
    inner = {h: nodes for h, nodes in loops.items() if nodes < innermost[head]}
    return Loop(blocks, head, innermost[head], inner)


def full_waits(instructions):
    """How many waits are for all global loads, those just sent for later tiles included."""
    return sum(i.kind == 'wait' and i.waits()[0] == 0 for i in instructions)


# --- the model

class Wave:
    def __init__(self, start):
        self.at = self.rounds = 0
        self.free = start                   # the slot from which it may issue again
        self.lds, self.vmem = [], []        # when what is under way arrives
        self.at_barrier = False


def decode(i, target):
    """(port, slots of that port, what it waits for)"""
    if i.kind == 'mfma':
        return 'matrix', mfma_cycles(i.op, target) // SLOT, None
    if i.kind in VECTOR:
        return 'vector', 4 if i.kind in ('transcendental', 'multiply') else 1, None
    if i.kind in LDS:
        # 64 lanes; 128 bytes a cycle for four SIMDs
        return 'lds', max(1, 64 * lds_bytes(i.op) * 4 // 128 // SLOT), None
    if i.kind in GLOBAL:
        return 'global', 1, None
    if i.kind == 'wait':
        return 'wait', 1, i.waits()
    if i.kind == 'barrier':
        return 'barrier', 4, None
    if i.op == 's_nop':
        return 'nop', int(i.text.split()[1], 0) + 1, None
    if i.kind == 'scalar_load':
        return 'scalar_load', 1, None
    return 'scalar', 1, None


def simulate(instructions, target, waves=2, together=False, latency=800):
    """The share of time in which the matrix pipe is busy, waves in turn repeating `instructions`."""
    program = [decode(i, target) for i in instructions]
    if not any(port == 'matrix' for port, _, _ in program):
        return 0.0
    rounds = max(20, 60000 // len(program))
    # Independent workgroups do not start together.
    draw = random.Random(1)
    team = [Wave(0 if together else draw.randrange(400)) for _ in range(waves)]
    now = busy = matrix_free = vector_free = lds_free = 0
    warm, begin = rounds // 8, None
    while min(w.rounds for w in team) < rounds:
        taken = set()
        for wave in draw.sample(team, waves):
            if wave.free > now:
                continue
            port, slots, waits = program[wave.at]
            wave.lds = [t for t in wave.lds if t > now]
            wave.vmem = [t for t in wave.vmem if t > now]
            shared_port = 'vector' if port == 'matrix' else port
            if shared_port in taken:
                continue
            wave.free = now + 1
            if port == 'matrix':
                if matrix_free > now or vector_free > now:
                    continue
                matrix_free, vector_free = now + slots, now + 1
                busy += slots if begin is not None else 0
            elif port == 'vector':
                if vector_free > now:
                    continue
                vector_free = wave.free = now + slots
            elif port == 'lds':
                if lds_free > now + 16:  # the queue is full
                    continue
                lds_free = max(lds_free, now) + slots
                wave.lds.append(lds_free + 96 // SLOT)
            elif port == 'scalar_load':
                wave.lds.append(now + 200 // SLOT)
            elif port == 'global':
                wave.vmem.append(now + latency // SLOT)
            elif port == 'wait':
                vmem, lds = waits
                if (vmem is not None and len(wave.vmem) > vmem) or (
                        lds is not None and len(wave.lds) > lds):
                    continue
            elif port == 'nop':
                wave.free = now + slots
            elif port == 'barrier':
                if together:
                    wave.at_barrier = True
                    if not all(w.at_barrier for w in team):
                        wave.free = now  # asks again
                        continue
                    for other in team:
                        other.at_barrier = False
                        if other is not wave:
                            advance(other, program)
                            other.free = now + slots
                wave.free = now + slots
            taken.add(shared_port)
            advance(wave, program)
        now += 1
        if begin is None and min(w.rounds for w in team) >= warm:
            begin = now
    return busy / (now - begin)


def advance(wave, program):
    wave.at += 1
    if wave.at == len(program):
        wave.at = 0
        wave.rounds += 1
