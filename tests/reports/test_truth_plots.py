import re

import numpy as np

from fec_cache.reports.truth_plots import confusion_plot


def test_many_words_get_a_wide_table_without_noughts():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(20, np.full(20, 0.05), 20).tolist()
    wide = confusion_plot(counts, [f"word{n}" for n in range(20)]).svg
    few = confusion_plot([[9, 1], [0, 10]], ["joy", "fear"]).svg
    numbers = [int(text) for text in re.findall(r">(\d+)</text>", wide)]
    assert min(numbers) == 10
    assert len(numbers) == (np.array(counts) >= 2).sum()
    assert sorted(re.findall(r">(\d+)</text>", few)) == ["10", "100", "90"]
