"""`fec predict`: what reaches its workflow."""

from pathlib import Path

from fec_cache.system.workspace import Workspace

WORKFLOW = "predict.predict"


def test_pictures_boxes_and_weights_reach_the_workflow(arguments_of):
    words = (
        "predict a.jpg b.jpg --box 0,1,0,0.5 --box 0.25,1,0,1 --weights w.pth --weights v.pth "
        "--device cpu --data d --runs r"
    )
    workspace, _, paths, boxes, weights, device, _ = arguments_of(WORKFLOW, *words.split())
    assert (workspace.data_dir, workspace.runs_dir) == (Path("d"), Path("r"))
    assert paths == (Path("a.jpg"), Path("b.jpg"))
    assert boxes == ((0.0, 1.0, 0.0, 0.5), (0.25, 1.0, 0.0, 1.0))
    assert (weights, device) == (("w.pth", "v.pth"), "cpu")


def test_without_options_nothing_is_set(arguments_of):
    workspace, _, _, boxes, weights, device, _ = arguments_of(WORKFLOW, "predict", "a", "b")
    assert (workspace, boxes, weights, device) == (Workspace(), (), (), "auto")


def test_more_boxes_than_pictures_are_wrong_usage(empty):
    line = empty.misused("predict", "a", "b", *("--box", "0,1,0,1") * 3)
    assert line == "Error: Give --box once for both pictures, or once for each."
