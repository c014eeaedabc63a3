"""Break caches in every way at hand, and look whether they keep their promises.

Each round begins with an empty, a half or a whole cache, does something terrible to it or to the
processes at work on it, and then asks: does it open, or say what to run? Is every acknowledged row
there, once, bit for bit that of a clean run? Does the next run bring it to the whole, computing no
more anew than what was lost, at most one shard for each process that died? Run as root, it also
fills a small disk and takes rights away.

    python benchmarks/faults.py --rounds 1000 --flips 1000 --seed 0
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fault_lab
from fault_lab import LAYERS, NUM_FACES, SHARD_FACES, VIEWS, Failure, Lab, Life, SmallDisk

from fec_cache.cache.maintenance.repair import repair_cache, repair_index
from fec_cache.cache.maintenance.verify import verify_cache, verify_index
from fec_cache.errors import FecError
from fec_cache.extraction import batches

_STEPS = 6 * 20


@dataclass
class Round:
    """One round: its own dice, its folder, and what was seen."""

    lab: Lab
    number: int
    dice: random.Random
    counts: Counter[str]
    cache_dir: Path = field(init=False)
    layers: tuple[str, ...] = field(init=False)
    stored: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.layers = LAYERS if self.dice.random() < 0.25 else LAYERS[:1]

    def begin(self, *templates: str, all_layers: bool = False) -> None:
        """Copy one of the templates; the half and the whole one hold all layers."""
        self.layers = LAYERS if all_layers else self.layers
        self.cache_dir = self.lab.copy(self.dice.choice(templates), f"round {self.number}")
        self.stored = self.lab.num_stored(self.cache_dir, self.layers)

    def heal(self, most: int, is_damaged: bool = False) -> None:
        """Repair or not, run once more without accidents, and look at the result.

        Args:
            most: faces that may be computed anew beyond those that lack.
            is_damaged: whether files were damaged, so that refusals are right.
        """
        if self.dice.random() < 0.4:
            self._repair(is_damaged)
        stored = self.lab.num_stored(self.cache_dir, self.layers)
        life = self.lab.start(self.cache_dir, self.layers).finish()
        if life.exit_code:
            raise Failure(f"the next run ends with {life.exit_code}: {life.error}")
        # What cannot be read cannot be counted: then what stood before the damage is.
        lacking = NUM_FACES - (stored if stored >= 0 else self.stored)
        if life.computed > lacking + most:
            raise Failure(f"{life.computed} faces computed anew where {lacking + most} are due")
        self.lab.check_whole(self.cache_dir, self.layers)
        if self.dice.random() < 0.1:
            again = self.lab.start(self.cache_dir, self.layers).finish()
            if (again.exit_code, again.computed) != (0, 0):
                raise Failure(f"a run with nothing to do computed {again.computed}: {again.error}")

    def _repair(self, is_damaged: bool) -> None:
        for folder in sorted(path for path in self.cache_dir.glob("toy-*") if path.is_dir()):
            if not (folder / "recipe.json").exists() and not (folder / "shards").exists():
                continue  # killed before there was a cache
            try:
                repair_cache(folder)
            except FecError as error:
                if not is_damaged or "fec extract" not in str(error):
                    raise Failure(f"repair refuses: {error}") from error
                continue
            problems = verify_cache(folder).problems
            if problems:
                raise Failure(f"damaged after the repair: {problems}")
        repair_index(self.cache_dir)
        self.counts["repairs"] += 1

    def check_end(self, life: Life, *codes: int) -> None:
        """The process ended in one of the ways that are right, and lost one shard at most."""
        if life.exit_code not in codes:
            raise Failure(f"ended with {life.exit_code}: {life.error}")
        if life.exit_code == 3 and not ("run" in life.error and "again" in life.error):
            raise Failure(f"an error that says not what to do: {life.error}")
        sealed = set.intersection(*(life.sealed[layer] for layer in self.layers))
        # The face that is no picture is done, but never sealed.
        if life.done - len(sealed) > SHARD_FACES + 1:
            raise Failure(f"{life.done} faces done, but only {len(sealed)} sealed")

    def check_after_crash(self, life: Life) -> None:
        """No damage but views that lag behind; every acknowledged row in its place."""
        self.lab.check_rows(self.cache_dir, life, may_refuse=False)
        for cache in fault_lab.caches_in(self.cache_dir):
            problems = [p for p in verify_cache(cache.folder).problems if p.file not in VIEWS]
            if any("is missing, although there are shards" in problem.what for problem in problems):
                continue  # killed between the very first shard and its manifest
            if problems:
                raise Failure(f"a crash left damage: {problems}")

    def files(self) -> list[Path]:
        """Every file of the cache that has bytes."""
        paths = (path for path in self.cache_dir.rglob("*") if path.is_file())
        return sorted(path for path in paths if path.stat().st_size)


def kill_at_any_moment(this: Round) -> None:
    this.begin("empty", "half")
    running = this.lab.start(this.cache_dir, this.layers, delay_s=this.dice.random() * 0.004)
    time.sleep(this.dice.random() * 0.25)
    running.kill(signal.SIGKILL)
    life = running.finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def kill_at_a_step(this: Round) -> None:
    this.begin("empty", "half", "whole")
    step = f"*:*:{this.dice.randrange(1, _STEPS)}:kill"
    life = this.lab.start(this.cache_dir, this.layers, step).finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def failing_disk(this: Round) -> None:
    this.begin("empty", "half")
    step = this.dice.choice(["write", "fsync", "rename", "sync", "*"])
    error = this.dice.choice(["EIO", "ENOSPC", "EROFS", "EDQUOT"])
    last = _STEPS if step == "*" else _STEPS // 6
    point = f"{step}:*:{this.dice.randrange(1, last)}:{error}"
    life = this.lab.start(this.cache_dir, this.layers, point).finish()
    this.check_end(life, 3, 0)
    this.check_after_crash(life)
    this.heal(0)


def full_disk(this: Round) -> None:
    disk = SmallDisk(this.lab.folder / f"round {this.number}", this.dice.randrange(8, 200, 4))
    with disk:
        this.cache_dir = disk.folder / "cache"
        life = this.lab.start(this.cache_dir, this.layers).finish()
        this.counts["disks filled"] += life.exit_code == 3
        if life.exit_code == 3 and not life.error.startswith("StorageFailed: "):
            raise Failure(f"a full disk is called otherwise: {life.error}")
        if life.exit_code not in (0, 3):
            raise Failure(f"ended with {life.exit_code}: {life.error}")
        this.check_after_crash(life)
        disk.make_room()
        this.heal(0)


def flipped_bit(this: Round) -> None:
    this.begin("half", "whole", "whole", all_layers=True)
    path = this.dice.choice(this.files())
    content = bytearray(path.read_bytes())
    bit = this.dice.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    if not is_found(this.cache_dir, path):
        raise Failure(f"bit {bit} of {path.name} is flipped, and verify does not find it")
    this.counts["flips found"] += 1
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def truncated_file(this: Round) -> None:
    this.begin("half", "whole", "whole", all_layers=True)
    path = this.dice.choice(this.files())
    kept = this.dice.randrange(path.stat().st_size)
    content = path.read_bytes()
    os.truncate(path, kept)
    is_index = path.parent == this.cache_dir
    # The index is lines: cut at a line's end it is a shorter index, and as good.
    if not (is_index and content[:kept][-1:] in (b"", b"\n")) and not is_found(
        this.cache_dir, path
    ):
        raise Failure(f"{path.name} is cut to {kept} bytes, and verify does not find it")
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def removed_file(this: Round) -> None:
    this.begin("whole", all_layers=True)
    path = this.dice.choice(this.files())
    path.unlink()
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def crowd(this: Round) -> None:
    """Two to four extractors at once, some of which are killed."""
    this.begin("empty", "half")
    before = this.stored
    num = this.dice.randrange(2, 5)
    delay_s = this.dice.random() * 0.004
    running = [this.lab.start(this.cache_dir, this.layers, delay_s=delay_s) for _ in range(num)]
    num_doomed = this.dice.randrange(num)
    time.sleep(this.dice.random() * 0.3)
    for doomed in running[:num_doomed]:
        doomed.kill(signal.SIGKILL)
    lives = [one.finish() for one in running]
    for life in lives[num_doomed:]:
        this.check_end(life, 0)
    for life in lives[:num_doomed]:
        this.check_end(life, -signal.SIGKILL, 0)
    for life in lives:
        this.check_after_crash(life)
    survivors = sum(max(0, life.computed) for life in lives)
    if not num_doomed and survivors > NUM_FACES - before:
        raise Failure(f"{survivors} faces computed, where {NUM_FACES - before} lacked")
    done = sum(life.done for life in lives)
    # Each of the crowd may try the picture that is none.
    if done > NUM_FACES - before + num_doomed * SHARD_FACES + 2 * num:
        raise Failure(f"{done} faces done by all, where {NUM_FACES - before} lacked")
    this.heal(0)


def child_of_two_devices(this: Round) -> None:
    """`--devices cpu,cpu`, and one of the two processes is killed: the other does its share."""
    this.begin("empty", "half")
    kill = f"*:*:{this.dice.randrange(1, _STEPS // 2)}:kill" if this.dice.random() < 0.7 else ""
    source = fault_lab.DoomedSource(
        *("toy", None, this.layers, "sha256:" + "5" * 64),
        *(this.cache_dir / "doomed", kill, this.dice.random() * 0.2, this.dice.random() * 0.004),
    )
    run = fault_lab.extract_by_two(source)
    life = this.lab.start(this.cache_dir, this.layers, run=run).finish()
    is_lost = life.exit_code == 3 or source.flag.read_text() == "lost"
    this.counts["devices that lost a process"] += is_lost
    source.flag.unlink()
    if life.exit_code not in (0, 3):
        raise Failure(f"ended with {life.exit_code}: {life.error}")
    if life.exit_code and not ("died" in life.error and "run the same command again" in life.error):
        raise Failure(f"a lost process is told otherwise: {life.error}")
    this.check_after_crash(life)
    this.heal(0)


def ctrl_c(this: Round) -> None:
    this.begin("empty", "half")
    running = this.lab.start(this.cache_dir, this.layers, delay_s=0.002)
    time.sleep(this.dice.random() * 0.25)
    running.kill(signal.SIGINT)
    life = running.finish()
    # Python may be interrupted while it ends a process of ours, after all is done.
    this.check_end(life, 130, 0, 1)
    this.check_after_crash(life)
    this.heal(0)


def picture_that_hangs(this: Round) -> None:
    """A picture turns into a named pipe after the faces were counted: nobody waits for it."""
    this.begin("empty", "half")
    images_dir = this.lab.folder / f"images {this.number}"
    shutil.copytree(this.lab.images_dir, images_dir)
    path = images_dir / this.dice.choice([ref.image for ref in this.lab.refs[:NUM_FACES]])

    def swap() -> None:
        path.unlink()
        os.mkfifo(path)

    life = this.lab.start(this.cache_dir, this.layers, images_dir=images_dir, prepare=swap).finish()
    if life.exit_code:
        raise Failure(f"ended with {life.exit_code}: {life.error}")
    this.check_after_crash(life)
    this.heal(0)
    shutil.rmtree(images_dir)


def decoder_that_hangs_or_dies(this: Round) -> None:
    """A decoding thread sleeps for ever, and is given up or killed with its process, or falls."""
    this.begin("empty", "half")
    kind, at = this.dice.choice(["given up", "killed", "falls"]), this.dice.randrange(1, 12)
    picture, calls = batches.Picture, Counter[str]()

    def fail(content: bytes, name: str) -> object:
        calls["n"] += 1
        if calls["n"] == at:
            if kind != "falls":
                time.sleep(3600)
            raise MemoryError("no memory for a picture")
        return picture(content, name)

    def swap() -> None:
        batches.Picture = fail  # type: ignore[assignment,misc]

    timeout_s = fault_lab.SHORT_TIMEOUT_S if kind == "given up" else fault_lab.LONG_TIMEOUT_S
    running = this.lab.start(this.cache_dir, this.layers, prepare=swap, timeout_s=timeout_s)
    heir = None
    if kind == "killed":
        time.sleep(this.dice.random() * 0.4)
        heir = this.lab.start(this.cache_dir, this.layers)
        time.sleep(0.1)
        running.kill(signal.SIGKILL)
    life = running.finish()
    codes = {"given up": (0,), "killed": (0, -signal.SIGKILL), "falls": (0, 1)}[kind]
    if life.exit_code not in codes:
        raise Failure(f"{kind}, but ended with {life.exit_code}: {life.error}")
    if heir is not None and (last := heir.finish()).exit_code:
        raise Failure(f"the heir of a hanging process ended with {last.error}")
    this.check_after_crash(life)
    this.heal(0)


def clock_that_goes_back(this: Round) -> None:
    this.begin("empty", "half", "whole")
    now, now_ns, back = time.time, time.time_ns, this.dice.randrange(1, 10**9)

    def swap() -> None:
        time.time, time.time_ns = lambda: now() - back, lambda: now_ns() - back * 10**9

    for path in this.files():
        os.utime(path, (now() + back, now() + back))
    point = f"*:*:{this.dice.randrange(1, _STEPS)}:kill"
    life = this.lab.start(this.cache_dir, this.layers, point, prepare=swap).finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def rights_taken_away(this: Round) -> None:
    this.begin("half", "whole")
    folders = [this.cache_dir, *(p for p in this.cache_dir.rglob("*") if p.is_dir())]
    chosen = [folder for folder in folders if this.dice.random() < 0.7] or folders
    for folder in chosen:
        folder.chmod(0o555)
    user = fault_lab.nobody()
    life = this.lab.start(this.cache_dir, this.layers, user=user).finish()
    if life.exit_code not in (0, 3) or (life.exit_code and "cannot be written" not in life.error):
        raise Failure(f"ended with {life.exit_code}: {life.error}")
    for folder in folders:
        folder.chmod(0o755)
    this.check_after_crash(life)
    this.heal(0)


def is_found(cache_dir: Path, path: Path) -> bool:
    """Whether verify names a damaged file; one in no manifest is named as that."""
    if path.parent == cache_dir:
        return bool(verify_index(cache_dir))
    folder = path.parents[1] if path.parent.name == "shards" else path.parent
    name = str(path.relative_to(folder))
    report = verify_cache(folder)
    return name in {finding.file for finding in (*report.problems, *report.remarks)}


Fault = Callable[[Round], None]
FAULTS: dict[Fault, int] = {
    kill_at_any_moment: 20,
    kill_at_a_step: 26,
    failing_disk: 12,
    full_disk: 6,
    flipped_bit: 10,
    truncated_file: 6,
    removed_file: 2,
    crowd: 8,
    child_of_two_devices: 4,
    ctrl_c: 4,
    picture_that_hangs: 1,
    decoder_that_hangs_or_dies: 2,
    clock_that_goes_back: 1,
    rights_taken_away: 2,
}


def flip_series(lab: Lab, num: int, dice: random.Random) -> tuple[Counter[str], list[str]]:
    """Flip single bits of a whole cache, each file as likely as any other, and verify each time."""
    cache_dir = lab.copy("whole", "flips")
    files = sorted(p for p in cache_dir.rglob("*") if p.is_file() and p.stat().st_size)
    found: Counter[str] = Counter()
    missed: list[str] = []
    for _ in range(num):
        path = dice.choice(files)
        content = path.read_bytes()
        bit = dice.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if is_found(cache_dir, path):
            found["shards" if path.parent.name == "shards" else path.name] += 1
        else:
            missed.append(f"bit {bit} of {path.name}")
        lab.check_rows(cache_dir, None, may_refuse=True)
        path.write_bytes(content)
    shutil.rmtree(cache_dir)
    return found, missed


def campaign(
    lab: Lab, numbers: Sequence[int], seed: int, keep: bool
) -> tuple[Counter[str], list[str]]:
    """All rounds: how often what was done and seen, and what went wrong."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    faults = dict(FAULTS)
    if not fault_lab.can_mount(lab.folder):
        print("no right to mount: the full disk is left out", file=sys.stderr)
        del faults[full_disk]
    if not fault_lab.can_drop_rights():
        print("not root: taking rights away is left out", file=sys.stderr)
        del faults[rights_taken_away]
    started = time.monotonic()
    for count, number in enumerate(numbers, start=1):
        dice = random.Random(f"{seed}-{number}")
        (fault,) = dice.choices(list(faults), list(faults.values()))
        this = Round(lab, number, dice, counts)
        counts[fault.__name__] += 1
        try:
            fault(this)
        except (Failure, FecError, OSError) as error:
            failures.append(f"round {number}, {fault.__name__}: {type(error).__name__}: {error}")
            print(failures[-1], file=sys.stderr, flush=True)
            if keep:
                continue
        shutil.rmtree(lab.folder / f"round {number}", ignore_errors=True)
        if count % 50 == 0:
            spent = time.monotonic() - started
            print(f"{count} rounds, {spent:.0f} s", file=sys.stderr, flush=True)
    return counts, failures


def run_part(asked: argparse.Namespace) -> dict[str, Any]:
    """Every `jobs`-th flip and round, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fec-faults-", dir=asked.where))
    folder.chmod(0o755)  # whoever has no rights must still be able to pass
    part, jobs = asked.part, asked.jobs
    try:
        lab = Lab(folder)
        num_flips = len(range(part, asked.flips, jobs))
        found, missed = flip_series(lab, num_flips, random.Random(f"{asked.seed}-{part}"))
        numbers = range(part, asked.rounds, jobs)
        counts, failures = campaign(lab, numbers, asked.seed, asked.keep)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return {"found": found, "missed": missed, "counts": counts, "failures": failures}


def run_parts(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """All parts, each in a process of its own; a part that falls over falls over here too."""
    words = [sys.executable, __file__, *sys.argv[1:]]
    started = [
        subprocess.Popen([*words, "--part", str(part)], stdout=subprocess.PIPE, text=True)
        for part in range(asked.jobs)
    ]
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("a part of the campaign fell over")
    return [json.loads(text) for text in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=1000, help="single bits, verify only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="rounds at once")
    parser.add_argument("--where", type=Path, default=None, help="folder to work in")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed rounds")
    parser.add_argument("--part", type=int, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    logging.getLogger("fec_cache").setLevel(logging.CRITICAL)  # it warns of what we do to it
    if asked.part is not None:
        print(json.dumps(run_part(asked)))
        return
    started = time.monotonic()
    asked.part = 0
    parts = [run_part(asked)] if asked.jobs == 1 else run_parts(asked)
    found, counts = Counter[str](), Counter[str]()
    for part in parts:
        found.update(part["found"])
        counts.update(part["counts"])
    failures = [told for part in parts for told in part["failures"]]
    missed = [told for part in parts for told in part["missed"]]
    figures = {
        "rounds": asked.rounds,
        "failures": len(failures),
        "flips": asked.flips,
        "flips_found": found.total(),
        "flips_missed": missed,
        "flips_by_file": dict(sorted(found.items())),
        "rounds_by_fault": dict(sorted(counts.items())),
        "seed": asked.seed,
        "duration_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figures, indent=1))
    sys.exit(1 if failures or missed else 0)


if __name__ == "__main__":
    main()
