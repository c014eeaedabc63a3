"""Points of a grid: every distinct head once."""

import dataclasses

import numpy as np
import pytest

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.kinds import head_names
from fec_cache.search.space import (
    DEFAULT_GRID,
    Point,
    grid,
    point_of,
    space_from,
    space_of,
    unread_options,
)
from fec_cache.search.values import Axis
from fec_cache.testing.planted import planted_split
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from tests.search.conftest import VALUES


def test_grid_is_every_combination_once():
    points = grid(VALUES)
    assert len(points) == 4
    assert points[0] == Point(
        HeadConfig("concat", (8,)), TrainConfig(lr=1e-3, epochs=1, batch_size=512)
    )
    assert [(p.head.head, p.train.lr) for p in points] == [
        ("concat", 1e-3),
        ("concat", 1e-2),
        ("embedding", 1e-3),
        ("embedding", 1e-2),
    ]


def test_repeated_values_make_no_repeated_points():
    assert len(grid({"lr": [1e-3, 1e-3, 1e-2]})) == 2


def test_default_grid_has_twelve_points():
    assert len(grid(DEFAULT_GRID)) == 12


def test_bad_values_are_named():
    with pytest.raises(BadOption, match=r"lr is -1, but it must be between"):
        grid({"lr": [-1.0]})
    with pytest.raises(BadOption, match="head is 'siamese', but it must be one of: concat"):
        grid({"head": ["siamese"]})


def test_seeds_of_a_setting_stand_side_by_side():
    points = grid({"lr": [1e-3, 1e-2], "seed": [3, 4]})
    assert [(p.train.lr, p.train.seed) for p in points] == [
        (1e-3, 3),
        (1e-3, 4),
        (1e-2, 3),
        (1e-2, 4),
    ]


def test_repeat_seeds_counts_up_from_the_seed():
    axes = {"seed": Axis("seed", (5,)), "lr": Axis("lr", (1e-3,))}
    assert space_from(axes, 3).seeds == (5, 6, 7)
    assert space_from(axes).seeds == (5,)
    with pytest.raises(BadOption, match="Use only one of them"):
        space_from({"seed": Axis("seed", (0, 1))}, 3)


class TestCanonical:
    def test_key_depends_on_scope_and_every_setting(self):
        point = Point(HeadConfig("embedding"), TrainConfig())
        others = [
            point.replaced({name: value})
            for name, value in {
                "head": "symmetric",
                "hidden": (1,),
                "dropout": 0.1,
                "embedding_dim": 3,
                "prepare": "l2",
                "lr": 0.1,
                "epochs": 3,
                "batch_size": 3,
                "loss": "triplet",
                "optimizer": "sgd",
                "weight_decay": 0.1,
                "patience": 3,
                "seed": 3,
            }.items()
        ]
        keys = {point.key("s"), point.key("t"), *(other.key("s") for other in others)}
        assert len(keys) == 2 + len(others) == 15

    def test_settings_that_are_one_head_are_tried_once(self):
        space = space_of(
            {"head": ["concat", "embedding"], "embedding_dim": [8, 16], "prepare": [None, "none"]}
        )
        assert space.num_combinations == 8
        # concat: one; embedding: two widths, with its own preparation and with none.
        assert [(p.head.head, p.head.embedding_dim, p.head.prepare) for p in space.settings()] == [
            ("concat", 16, None),
            ("embedding", 8, None),
            ("embedding", 8, "none"),
            ("embedding", 16, None),
            ("embedding", 16, "none"),
        ]
        assert len(grid({"prepare": [None, "standardize"], "head": ["symmetric"]})) == 1
        assert len(grid({"hidden": [()], "dropout": [0.0, 0.5]})) == 1
        assert len(grid({"epochs": [5], "patience": [0, 5, 9, 4]})) == 2

    def test_the_original_recipe_stays_the_original_recipe(self):
        assert Point(HeadConfig(), TrainConfig()).canonical().head == HeadConfig()
        assert Point(HeadConfig(prepare="none"), TrainConfig()).canonical().head == HeadConfig()

    def test_a_ledger_gives_the_point_back(self):
        for point in grid(DEFAULT_GRID):
            assert point_of(point.settings()) == point

    @pytest.mark.parametrize("head", head_names())
    def test_unread_options_change_nothing_and_others_do(self, head):
        """Trained twice with each option at another value: the heads tell whether it was read."""
        features, train, validation = planted_split()
        base = Point(
            HeadConfig(head, (8,), dropout=0.3, embedding_dim=4),
            TrainConfig(epochs=2, batch_size=512, lr=1e-2, weight_decay=0.1, patience=1),
        )
        others = {"hidden": (9,), "dropout": 0.6, "embedding_dim": 3, "prepare": "l2", "lr": 2e-2}
        others |= {"batch_size": 256, "loss": "triplet", "optimizer": "sgd", "weight_decay": 0.9}
        others |= {"seed": 1, "epochs": 1, "patience": 0, "init": "scatter", "both_orders": True}
        others |= {"shrinkage": 0.9, "components": 2}
        trained = fit(features, train, validation, base.head, base.train)
        for name, value in others.items():
            is_unread = name in unread_options(head) or (
                name == "shrinkage" and head == "embedding"
            )
            try:
                point = base.replaced({name: value})
            except BadOption:
                assert is_unread, name
                continue
            other = fit(features, train, validation, point.head, point.train)
            if name not in ("epochs", "patience"):  # the best of two epochs may be the first
                assert (_weights(trained) == _weights(other)) == is_unread, name
            assert (point.key("s") == base.key("s")) == is_unread, name

    def test_shrinkage_counts_where_an_embedding_starts_from_scatter(self):
        values = {"head": ["embedding"], "hidden": [()], "shrinkage": [0.1, 0.5]}
        assert len(grid(values)) == 1
        assert len(grid({**values, "init": ["scatter"]})) == 2

    def test_options_of_one_head_are_no_mistake_of_another(self):
        values = {"head": ["concat", "embedding", "scatter"], "init": ["random", "scatter"]}
        points = grid({**values, "lr": [1e-3, 1e-2], "seed": [0, 1]})
        heads = [(p.head.head, p.head.init, p.train.lr, p.train.seed) for p in points]
        assert len(heads) == len(set(heads)) == 4 + 8 + 1


def _weights(result):
    state = result.head.state_dict()
    return {name: np.asarray(value).tobytes() for name, value in state.items()}


def test_points_are_plain_records():
    (point,) = grid({})
    assert dataclasses.asdict(point.head)["hidden"] == (256,)


def test_keys_do_not_change_between_releases():
    """Ledgers of older releases are read by these keys."""
    assert Point(HeadConfig(), TrainConfig()).key("s") == "6cae317a38b4cd8a"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lrr": [1]}, "A field of settings is 'lrr', but it must be one of: head, hidden"),
        ({"lr": []}, "The list of values of lr is empty. Give at least one value."),
        ({"head": "concat"}, "The values of head are 'concat', but they must be a list"),
        ({"lr": 0.1}, 'The values of lr are 0.1, but they must be a list: {"lr": [0.1]}.'),
        ({"lr": [{}]}, "A value of lr cannot be used: unhashable type: 'dict'."),
        ([("lr", [1])], "settings is of type list, but it must be fields with lists of values"),
    ],
)
def test_bad_settings_are_explained(settings, message):
    with pytest.raises(BadOption) as caught:
        space_of(settings)
    assert str(caught.value).startswith(message)


def test_lists_and_numpy_numbers_become_plain_values():
    (axis, batch) = space_of({"hidden": [[64, 8], (64, 8)], "batch_size": np.array([8])}).axes
    assert axis.values == ((64, 8),)
    assert batch.values == (8,) and type(batch.values[0]) is int
