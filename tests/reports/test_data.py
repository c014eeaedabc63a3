def test_kept_epoch_is_the_first_of_the_best(page):
    assert "kept: epoch 2 of 5" in page
    assert f"best {0.52:.1%} at epoch 2" in page
