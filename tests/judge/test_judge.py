"""`Judge` on the toy backbone: kinds of pictures, boxes, bad input, batches, threads."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from fec_cache.errors import BadImage, BadOption, HeadMismatch, MissingData
from fec_cache.extraction import recipes
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.judge.judge import NO_BOX, Judge
from fec_cache.judge.verdict import FailedPair, JudgedFace, Verdict
from fec_cache.pairs.config import PairConfig
from fec_cache.runs.checkpoint import save_run
from fec_cache.runs.config import RunConfig
from fec_cache.testing import toy
from fec_cache.training.config import TrainConfig

RED, BLUE = (204, 51, 0), (0, 51, 204)


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    def load(name, weights, layers, *, expected_identity):
        return toy.toy_backbone(layers, weights=expected_identity)

    monkeypatch.setattr(recipes, "load_backbone", load)


def config_of(head, recipe=None):
    return RunConfig((recipe or toy.toy_recipe(),), head, TrainConfig(), PairConfig(), {})


def judge_of(name="embedding", recipe=None):
    head = HeadConfig(name, (8,), embedding_dim=2)
    torch.manual_seed(1)
    built = build_head(head, 3)
    if name == "scatter":  # it has no directions before it is trained
        built.projection.copy_(torch.randn(built.projection.shape))
    return Judge(built, config_of(head, recipe), "toy-run", device="cpu")


def solid(colour):
    return np.full((8, 8, 3), colour, np.uint8)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_the_probability_is_the_heads_on_the_hand_computed_features():
    judge = judge_of()
    features = [
        torch.from_numpy(toy.feature_of(colour).astype(np.float16)).float()[None]
        for colour in (RED, BLUE)
    ]
    with torch.no_grad():
        wanted = torch.sigmoid(judge.head(*features)).item()
    verdict = judge.compare(solid(RED), solid(BLUE))
    assert verdict.probability == pytest.approx(wanted, abs=1e-6)
    assert (verdict.run, verdict.features) == ("toy-run", "toy:avgpool")
    assert verdict.is_similar == (verdict.probability >= verdict.threshold)


def test_every_kind_of_picture_gives_the_same_answer(tmp_path):
    judge, other = judge_of(), solid(RED)
    pixels = noise(3)
    path = tmp_path / "face.png"
    path.write_bytes(png(pixels))
    kinds = [
        path,
        str(path),
        png(pixels),
        Image.fromarray(pixels),
        pixels,
        pixels[:, ::-1][:, ::-1],
    ]
    verdicts = [judge.compare(kind, other) for kind in kinds]
    assert len({verdict.probability for verdict in verdicts}) == 1
    assert verdicts[0].faces[0].picture == str(path)
    assert verdicts[2].faces[0].picture == "picture A"
    assert judge.compare(other, pixels).faces[1].picture == "picture B"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((8, 8), np.uint8), r"shape \[8, 8\] and dtype uint8"),
        (np.zeros((8, 8, 4), np.uint8), r"shape \[8, 8, 4\]"),
        (np.zeros((8, 8, 3), np.float32), "dtype float32"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \[0, 8, 3\]"),
        ([[1, 2, 3]], "given as list"),
        (None, "given as NoneType"),
        (7, "given as int"),
    ],
)
def test_what_is_no_picture_is_named_with_what_was_expected(given, words):
    judge = judge_of()
    with pytest.raises(BadImage, match=words) as caught:
        judge.compare(solid(RED), given)
    assert "[H, W, 3] uint8 in RGB order" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no picture", png(noise(0))[:60]])
def test_bytes_that_are_no_picture_are_bad_images(content):
    with pytest.raises(BadImage, match="picture B"):
        judge_of().compare(solid(RED), content)


def test_a_missing_file_is_a_bad_image(tmp_path):
    with pytest.raises(BadImage, match=r"gone\.png cannot be read"):
        judge_of().compare(tmp_path / "gone.png", solid(RED))


def test_a_box_chooses_the_face():
    pixels = np.concatenate([np.full((40, 20, 3), c, np.uint8) for c in (RED, BLUE)], axis=1)
    judge = judge_of()
    left, right = (0.1, 0.3, 0.4, 0.6), (0.7, 0.9, 0.4, 0.6)
    verdict = judge.compare(pixels, pixels, left, right)
    assert verdict.probability == judge.compare(solid(RED), solid(BLUE)).probability
    assert verdict.faces == (JudgedFace("picture A", left), JudgedFace("picture B", right))
    assert verdict.warnings == ()


def test_whole_pictures_and_random_weights_are_warned_of():
    judge = judge_of(recipe=toy.toy_recipe(weights="random:7:abc"))
    box = (0.0, 0.5, 0.0, 0.5)
    (note,) = judge.compare(solid(RED), solid(BLUE), box, box).warnings
    assert "random:7 weights" in note
    for boxes in ((None, None), (box, None), (None, box)):
        assert judge.compare(solid(RED), solid(BLUE), *boxes).warnings == (note, NO_BOX)


@pytest.mark.parametrize(
    "box", [(0.5, 0.5, 0.0, 1.0), (0.0, 1.5, 0.0, 1.0), (0.0, 1.0), ("a", 1.0, 0.0, 1.0)]
)
def test_a_box_outside_of_the_picture_is_a_bad_option(box):
    with pytest.raises(BadOption, match="box of picture B"):
        judge_of().compare(solid(RED), solid(RED), None, box)


def test_features_that_overflow_are_a_bad_image_and_one_failed_pair():
    judge = judge_of(recipe=toy.toy_recipe("layer2"))
    bright, dark = solid((255, 255, 255)), solid((9, 9, 9))
    with pytest.raises(BadImage, match="not finite in float16"):
        judge.compare(bright, dark)
    answers = list(judge.compare_many([(dark, dark), (bright, dark), (dark, dark)]))
    assert [type(answer) for answer in answers] == [Verdict, FailedPair, Verdict]
    assert "not finite" in answers[1].error


def test_one_bad_picture_fails_one_pair_and_the_order_stays(tmp_path):
    judge = judge_of()
    pairs = [(noise(n), noise(n + 10)) for n in range(5)]
    single = [judge.compare(*pair) for pair in pairs]
    gone = tmp_path / "gone.png"
    pairs[1] = (gone, pairs[1][1])
    pairs[3] = (pairs[3][0], None)
    pairs.append((noise(1),))
    answers = list(judge.compare_many(pairs, batch_size=2))
    failed = {n: answer for n, answer in enumerate(answers) if isinstance(answer, FailedPair)}
    assert {n: (failure.index, failure.pictures) for n, failure in failed.items()} == {
        1: (1, (str(gone), "picture B")),
        3: (3, ("picture A", "picture B")),
        5: (5, ("", "")),
    }
    assert "gone.png cannot be read" in failed[1].error
    assert "given as NoneType" in failed[3].error
    assert [answers[n] for n in (0, 2, 4)] == [single[n] for n in (0, 2, 4)]


def test_batches_do_not_change_answers():
    judge = judge_of()
    pairs = [(noise(n), noise(n + 1)) for n in range(7)]
    wanted = [judge.compare(*pair) for pair in pairs]
    for batch_size in (1, 3, 7, 64):
        assert list(judge.compare_many(iter(pairs), batch_size)) == wanted


def test_an_endless_stream_of_pairs_is_read_as_needed():
    read = itertools.count()
    pairs = ((noise(next(read)), solid(RED)) for _ in itertools.repeat(None))
    answers = list(itertools.islice(judge_of().compare_many(pairs, batch_size=2), 3))
    assert all(isinstance(answer, Verdict) for answer in answers)
    assert next(read) == 4  # two batches of two


@pytest.mark.parametrize("name", ["embedding", "scatter"])
def test_embeddings_are_unit_vectors(name):
    judge = judge_of(name)
    pictures = [noise(n) for n in range(5)]
    vectors = judge.embed(iter(pictures), batch_size=2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    # oneDNN may sum in another order for another batch size.
    np.testing.assert_allclose(vectors, judge.embed(pictures), atol=1e-6)
    assert judge.embed([]).shape == (0, vectors.shape[1])
    with pytest.raises(BadImage, match="a picture"):
        judge.embed([b"no picture"])


def test_a_head_without_an_embedding_says_which_have_one():
    with pytest.raises(HeadMismatch, match="toy-run has no embedding") as caught:
        judge_of("concat").embed([solid(RED)])
    assert "--head embedding" in str(caught.value)


def test_threads_may_share_a_judge():
    judge = judge_of()
    pairs = [(noise(n), noise(n + 1)) for n in range(40)]
    wanted = [judge.compare(*pair) for pair in pairs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: judge.compare(*pair), pairs)) == wanted


def test_a_saved_run_answers_as_the_head_did(tmp_path):
    judge = judge_of()
    save_run(tmp_path / "run", judge.head, judge.config, (), {})
    loaded = Judge.load(tmp_path / "run", device="cpu")
    assert loaded.name == "run"
    wanted = judge.compare(noise(1), noise(2)).probability
    assert loaded.compare(noise(1), noise(2)).probability == wanted
    with pytest.raises(MissingData, match="nowhere"):
        Judge.load(tmp_path / "nowhere")


@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_a_batch_has_at_least_one_picture(size):
    judge = judge_of()
    with pytest.raises(BadOption, match=r"^batch size is .*, but it must be"):
        judge.compare_many([(solid(RED), solid(BLUE))], batch_size=size)
    with pytest.raises(BadOption, match=r"^batch size is .*, but it must be"):
        judge.embed([solid(RED)], batch_size=size)


@pytest.mark.parametrize("pair", [3, None, "ab", ("a.jpg",), ("a", "b", "c")])
def test_what_is_no_pair_of_pictures_fails_alone(pair):
    bad, good = judge_of().compare_many([pair, (solid(RED), solid(BLUE))])
    assert bad.index == 0 and bad.pictures == ("", "")
    assert bad.error == (
        f"A pair was given as {type(pair).__name__}; expected two pictures, such as "
        '("a.jpg", "b.jpg").'
    )
    assert isinstance(good, Verdict)


def test_embed_wants_a_list():
    with pytest.raises(BadOption, match=r"got one\. Write embed\(\[picture\]\)\.$"):
        judge_of().embed("a.jpg")


@pytest.mark.parametrize("box", [3, (0, 1, 0), (0, 1, 0, 1, 1), "0,1,0,1", (None, 1, 0, 1)])
def test_a_box_is_four_numbers(box):
    with pytest.raises(BadOption) as caught:
        judge_of().compare(solid(RED), solid(BLUE), box)
    assert str(caught.value) == (
        f"The box of picture A is {box!r}: expected four numbers: left, right, top, bottom."
    )
