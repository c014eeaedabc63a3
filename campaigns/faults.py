"""Inject faults into caches and check that they keep their promises.

Each round starts from an empty, a half-filled or a complete cache, damages it or the processes that
work on it, and then checks:

- The cache opens, or the error says what to run.
- Every acknowledged row is stored exactly once, bit for bit as in an undisturbed run.
- The next run completes the cache and recomputes only what was lost: at most one shard for each
  process that died.

As root, it also fills a small disk and removes write permissions.

    python campaigns/faults.py --rounds 1000 --flips 1000 --seed 0
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
    """One round: its random numbers, its folder, and counts shared by all rounds."""

    lab: Lab
    number: int
    rng: random.Random
    counts: Counter[str]
    cache_dir: Path = field(init=False)
    layers: tuple[str, ...] = field(init=False)
    stored: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.layers = LAYERS if self.rng.random() < 0.25 else LAYERS[:1]

    def begin(self, *templates: str, all_layers: bool = False) -> None:
        """Copy one of the templates; the half-filled and the complete one hold all layers."""
        self.layers = LAYERS if all_layers else self.layers
        self.cache_dir = self.lab.copy(self.rng.choice(templates), f"round {self.number}")
        self.stored = self.lab.num_stored(self.cache_dir, self.layers)

    def heal(self, max_extra: int, is_damaged: bool = False) -> None:
        """Sometimes repair, run once more without a fault, and check the result.

        Args:
            max_extra: number of faces that may be recomputed beyond the missing ones.
            is_damaged: whether files were damaged, so that refusing to open is right.
        """
        if self.rng.random() < 0.4:
            self._repair(is_damaged)
        stored = self.lab.num_stored(self.cache_dir, self.layers)
        life = self.lab.start(self.cache_dir, self.layers).finish()
        if life.exit_code:
            raise Failure(f"the next run ends with {life.exit_code}: {life.error}")
        # A manifest that cannot be read cannot be counted: take the count from before the damage.
        num_missing = NUM_FACES - (stored if stored >= 0 else self.stored)
        if life.computed > num_missing + max_extra:
            raise Failure(f"{life.computed} faces computed; at most {num_missing + max_extra} due")
        self.lab.check_whole(self.cache_dir, self.layers)
        if self.rng.random() < 0.1:
            again = self.lab.start(self.cache_dir, self.layers).finish()
            if (again.exit_code, again.computed) != (0, 0):
                raise Failure(f"a run with nothing to do computed {again.computed}: {again.error}")

    def _repair(self, is_damaged: bool) -> None:
        for folder in sorted(path for path in self.cache_dir.glob("toy-*") if path.is_dir()):
            if not (folder / "recipe.json").exists() and not (folder / "shards").exists():
                continue  # killed before the cache existed
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
        """Check that the process ended with one of the codes and lost one shard at most."""
        if life.exit_code not in codes:
            raise Failure(f"ended with {life.exit_code}: {life.error}")
        if life.exit_code == 3 and not ("run" in life.error and "again" in life.error):
            raise Failure(f"an error that does not say what to do: {life.error}")
        sealed = set.intersection(*(life.sealed[layer] for layer in self.layers))
        # The file that is not a picture counts as done, but is never sealed.
        if life.done - len(sealed) > SHARD_FACES + 1:
            raise Failure(f"{life.done} faces done, but only {len(sealed)} sealed")

    def check_after_crash(self, life: Life) -> None:
        """Check that at most the views are outdated, and that every acknowledged row is stored."""
        self.lab.check_rows(self.cache_dir, life, may_refuse=False)
        for cache in fault_lab.caches_in(self.cache_dir):
            problems = [p for p in verify_cache(cache.folder).problems if p.file not in VIEWS]
            if any("is missing, although there are shards" in problem.what for problem in problems):
                continue  # killed between the very first shard and its manifest
            if problems:
                raise Failure(f"a crash left damage: {problems}")

    def files(self) -> list[Path]:
        """Every file of the cache that is not empty."""
        paths = (path for path in self.cache_dir.rglob("*") if path.is_file())
        return sorted(path for path in paths if path.stat().st_size)


def kill_at_any_moment(this: Round) -> None:
    this.begin("empty", "half")
    running = this.lab.start(this.cache_dir, this.layers, delay_s=this.rng.random() * 0.004)
    time.sleep(this.rng.random() * 0.25)
    running.kill(signal.SIGKILL)
    life = running.finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def kill_at_a_step(this: Round) -> None:
    this.begin("empty", "half", "whole")
    step = f"*:*:{this.rng.randrange(1, _STEPS)}:kill"
    life = this.lab.start(this.cache_dir, this.layers, step).finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def failing_disk(this: Round) -> None:
    this.begin("empty", "half")
    step = this.rng.choice(["write", "fsync", "rename", "sync", "*"])
    error = this.rng.choice(["EIO", "ENOSPC", "EROFS", "EDQUOT"])
    last = _STEPS if step == "*" else _STEPS // 6
    point = f"{step}:*:{this.rng.randrange(1, last)}:{error}"
    life = this.lab.start(this.cache_dir, this.layers, point).finish()
    this.check_end(life, 3, 0)
    this.check_after_crash(life)
    this.heal(0)


def full_disk(this: Round) -> None:
    disk = SmallDisk(this.lab.folder / f"round {this.number}", this.rng.randrange(8, 200, 4))
    with disk:
        this.cache_dir = disk.folder / "cache"
        life = this.lab.start(this.cache_dir, this.layers).finish()
        this.counts["disks filled"] += life.exit_code == 3
        if life.exit_code == 3 and not life.error.startswith("StorageFailed: "):
            raise Failure(f"a full disk gives another error: {life.error}")
        if life.exit_code not in (0, 3):
            raise Failure(f"ended with {life.exit_code}: {life.error}")
        this.check_after_crash(life)
        disk.make_room()
        this.heal(0)


def flipped_bit(this: Round) -> None:
    this.begin("half", "whole", "whole", all_layers=True)
    path = this.rng.choice(this.files())
    content = bytearray(path.read_bytes())
    bit = this.rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    if not is_detected(this.cache_dir, path):
        raise Failure(f"verify does not detect that bit {bit} of {path.name} is flipped")
    this.counts["flips found"] += 1
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def truncated_file(this: Round) -> None:
    this.begin("half", "whole", "whole", all_layers=True)
    path = this.rng.choice(this.files())
    kept = this.rng.randrange(path.stat().st_size)
    content = path.read_bytes()
    os.truncate(path, kept)
    is_index = path.parent == this.cache_dir
    # Cut at the end of a line, the index of images is a shorter but valid index.
    if not (is_index and content[:kept][-1:] in (b"", b"\n")) and not is_detected(
        this.cache_dir, path
    ):
        raise Failure(f"verify does not detect that {path.name} is cut to {kept} bytes")
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def removed_file(this: Round) -> None:
    this.begin("whole", all_layers=True)
    path = this.rng.choice(this.files())
    path.unlink()
    this.lab.check_rows(this.cache_dir, None, may_refuse=True)
    this.heal(SHARD_FACES if path.parent.name == "shards" else 0, is_damaged=True)


def several_extractors(this: Round) -> None:
    """Two to four extractors on one cache, some of which are killed."""
    this.begin("empty", "half")
    before = this.stored
    num = this.rng.randrange(2, 5)
    delay_s = this.rng.random() * 0.004
    running = [this.lab.start(this.cache_dir, this.layers, delay_s=delay_s) for _ in range(num)]
    num_doomed = this.rng.randrange(num)
    time.sleep(this.rng.random() * 0.3)
    for doomed in running[:num_doomed]:
        doomed.kill(signal.SIGKILL)
    lives = [extractor.finish() for extractor in running]
    for life in lives[num_doomed:]:
        this.check_end(life, 0)
    for life in lives[:num_doomed]:
        this.check_end(life, -signal.SIGKILL, 0)
    for life in lives:
        this.check_after_crash(life)
    survivors = sum(max(0, life.computed) for life in lives)
    if not num_doomed and survivors > NUM_FACES - before:
        raise Failure(f"{survivors} faces computed, {NUM_FACES - before} were missing")
    done = sum(life.done for life in lives)
    # Each extractor may try the file that is not a picture.
    if done > NUM_FACES - before + num_doomed * SHARD_FACES + 2 * num:
        raise Failure(f"{done} faces done by all, {NUM_FACES - before} were missing")
    this.heal(0)


def child_of_two_devices(this: Round) -> None:
    """`--devices cpu,cpu`, and one of the two processes is killed: the other takes over."""
    this.begin("empty", "half")
    kill = f"*:*:{this.rng.randrange(1, _STEPS // 2)}:kill" if this.rng.random() < 0.7 else ""
    source = fault_lab.DoomedSource(
        *("toy", None, this.layers, "sha256:" + "5" * 64),
        *(this.cache_dir / "doomed", kill, this.rng.random() * 0.2, this.rng.random() * 0.004),
    )
    run = fault_lab.extract_by_two(source)
    life = this.lab.start(this.cache_dir, this.layers, run=run).finish()
    is_lost = life.exit_code == 3 or source.flag.read_text() == "lost"
    this.counts["devices that lost a process"] += is_lost
    source.flag.unlink()
    if life.exit_code not in (0, 3):
        raise Failure(f"ended with {life.exit_code}: {life.error}")
    if life.exit_code and not ("died" in life.error and "run the same command again" in life.error):
        raise Failure(f"a lost process gives another error: {life.error}")
    this.check_after_crash(life)
    this.heal(0)


def ctrl_c(this: Round) -> None:
    this.begin("empty", "half")
    running = this.lab.start(this.cache_dir, this.layers, delay_s=0.002)
    time.sleep(this.rng.random() * 0.25)
    running.kill(signal.SIGINT)
    life = running.finish()
    # 0 and 1: the interrupt may arrive after the work, while Python shuts down.
    this.check_end(life, 130, 0, 1)
    this.check_after_crash(life)
    this.heal(0)


def picture_that_hangs(this: Round) -> None:
    """A picture becomes a named pipe after the faces were counted: reading must not wait."""
    this.begin("empty", "half")
    images_dir = this.lab.folder / f"images {this.number}"
    shutil.copytree(this.lab.images_dir, images_dir)
    path = images_dir / this.rng.choice([ref.image for ref in this.lab.refs[:NUM_FACES]])

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
    """A decoding thread hangs until its timeout, hangs until its process is killed, or fails."""
    this.begin("empty", "half")
    kind, at = this.rng.choice(["timeout", "killed", "fails"]), this.rng.randrange(1, 12)
    picture, calls = batches.Picture, Counter[str]()

    def fail(content: bytes, name: str) -> object:
        calls["n"] += 1
        if calls["n"] == at:
            if kind != "fails":
                time.sleep(3600)
            raise MemoryError("no memory for a picture")
        return picture(content, name)

    def swap() -> None:
        batches.Picture = fail  # type: ignore[assignment,misc]

    timeout_s = fault_lab.SHORT_TIMEOUT_S if kind == "timeout" else fault_lab.LONG_TIMEOUT_S
    running = this.lab.start(this.cache_dir, this.layers, prepare=swap, timeout_s=timeout_s)
    successor = None
    if kind == "killed":
        time.sleep(this.rng.random() * 0.4)
        successor = this.lab.start(this.cache_dir, this.layers)
        time.sleep(0.1)
        running.kill(signal.SIGKILL)
    life = running.finish()
    codes = {"timeout": (0,), "killed": (0, -signal.SIGKILL), "fails": (0, 1)}[kind]
    if life.exit_code not in codes:
        raise Failure(f"{kind}, but ended with {life.exit_code}: {life.error}")
    if successor is not None and (last := successor.finish()).exit_code:
        raise Failure(f"the successor of a hanging process ended with {last.error}")
    this.check_after_crash(life)
    this.heal(0)


def clock_that_goes_back(this: Round) -> None:
    this.begin("empty", "half", "whole")
    now, now_ns, back = time.time, time.time_ns, this.rng.randrange(1, 10**9)

    def swap() -> None:
        time.time, time.time_ns = lambda: now() - back, lambda: now_ns() - back * 10**9

    for path in this.files():
        os.utime(path, (now() + back, now() + back))
    point = f"*:*:{this.rng.randrange(1, _STEPS)}:kill"
    life = this.lab.start(this.cache_dir, this.layers, point, prepare=swap).finish()
    this.check_end(life, -signal.SIGKILL, 0)
    this.check_after_crash(life)
    this.heal(0)


def permissions_removed(this: Round) -> None:
    this.begin("half", "whole")
    folders = [this.cache_dir, *(p for p in this.cache_dir.rglob("*") if p.is_dir())]
    chosen = [folder for folder in folders if this.rng.random() < 0.7] or folders
    for folder in chosen:
        folder.chmod(0o555)
    user = fault_lab.UNPRIVILEGED_USER
    life = this.lab.start(this.cache_dir, this.layers, user=user).finish()
    if life.exit_code not in (0, 3) or (life.exit_code and "cannot be written" not in life.error):
        raise Failure(f"ended with {life.exit_code}: {life.error}")
    for folder in folders:
        folder.chmod(0o755)
    this.check_after_crash(life)
    this.heal(0)


def is_detected(cache_dir: Path, path: Path) -> bool:
    """Whether verify names a damaged file, be it as damaged or as in no manifest."""
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
    several_extractors: 8,
    child_of_two_devices: 4,
    ctrl_c: 4,
    picture_that_hangs: 1,
    decoder_that_hangs_or_dies: 2,
    clock_that_goes_back: 1,
    permissions_removed: 2,
}


def flip_series(lab: Lab, num: int, rng: random.Random) -> tuple[Counter[str], list[str]]:
    """Flip single bits of a complete cache, in files chosen uniformly, and verify each time."""
    cache_dir = lab.copy("whole", "flips")
    files = sorted(p for p in cache_dir.rglob("*") if p.is_file() and p.stat().st_size)
    detected: Counter[str] = Counter()
    missed: list[str] = []
    for _ in range(num):
        path = rng.choice(files)
        content = path.read_bytes()
        bit = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if is_detected(cache_dir, path):
            detected["shards" if path.parent.name == "shards" else path.name] += 1
        else:
            missed.append(f"bit {bit} of {path.name}")
        lab.check_rows(cache_dir, None, may_refuse=True)
        path.write_bytes(content)
    shutil.rmtree(cache_dir)
    return detected, missed


def campaign(
    lab: Lab, numbers: Sequence[int], seed: int, keep: bool
) -> tuple[Counter[str], list[str]]:
    """Run all rounds: counts of faults and observations, and the failures."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    faults = dict(FAULTS)
    if not fault_lab.can_mount(lab.folder):
        print("cannot mount a disk: skipping full_disk", file=sys.stderr)
        del faults[full_disk]
    if not fault_lab.can_drop_privileges():
        print("not root: skipping permissions_removed", file=sys.stderr)
        del faults[permissions_removed]
    started = time.monotonic()
    for count, number in enumerate(numbers, start=1):
        rng = random.Random(f"{seed}-{number}")
        (fault,) = rng.choices(list(faults), list(faults.values()))
        this = Round(lab, number, rng, counts)
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


def run_part(options: argparse.Namespace) -> dict[str, Any]:
    """Run every `jobs`-th flip and round, in a separate folder."""
    folder = Path(tempfile.mkdtemp(prefix="fec-faults-", dir=options.where))
    folder.chmod(0o755)  # mkdtemp makes 0700, which the unprivileged user could not enter
    part, jobs = options.part, options.jobs
    try:
        lab = Lab(folder)
        num_flips = len(range(part, options.flips, jobs))
        detected, missed = flip_series(lab, num_flips, random.Random(f"{options.seed}-{part}"))
        numbers = range(part, options.rounds, jobs)
        counts, failures = campaign(lab, numbers, options.seed, options.keep)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return {"detected": detected, "missed": missed, "counts": counts, "failures": failures}


def run_parts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run all parts, each in its own process; exit if one of them crashes."""
    words = [sys.executable, __file__, *sys.argv[1:]]
    started = [
        subprocess.Popen([*words, "--part", str(part)], stdout=subprocess.PIPE, text=True)
        for part in range(options.jobs)
    ]
    outputs = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("a part of the campaign crashed")
    return [json.loads(output) for output in outputs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000, help="number of rounds")
    parser.add_argument(
        "--flips", type=int, default=1000, help="number of single-bit flips that are only verified"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel processes")
    parser.add_argument("--where", type=Path, default=None, help="folder to work in")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed rounds")
    parser.add_argument("--part", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("fec_cache").setLevel(
        logging.CRITICAL
    )  # its warnings about damage are expected
    if options.part is not None:
        print(json.dumps(run_part(options)))
        return
    started = time.monotonic()
    options.part = 0
    parts = [run_part(options)] if options.jobs == 1 else run_parts(options)
    detected, counts = Counter[str](), Counter[str]()
    for part in parts:
        detected.update(part["detected"])
        counts.update(part["counts"])
    failures = [line for part in parts for line in part["failures"]]
    missed = [line for part in parts for line in part["missed"]]
    figures = {
        "rounds": options.rounds,
        "failures": len(failures),
        "flips": options.flips,
        "flips_found": detected.total(),
        "flips_missed": missed,
        "flips_by_file": dict(sorted(detected.items())),
        "rounds_by_fault": dict(sorted(counts.items())),
        "seed": options.seed,
        "duration_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figures, indent=1))
    sys.exit(1 if failures or missed else 0)


if __name__ == "__main__":
    main()
