"""Names of the files of a run and of the folder of runs."""

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "head.safetensors"
HISTORY_NAME = "history.csv"
METRICS_NAME = "metrics.json"
FACES_NAME = "train_faces.txt"
EVALUATION_NAME = "evaluation.json"
CARD_NAME = "model_card.md"
REPORT_NAME = "report.html"
# Written by a search: its ranking, and what its points were tried on.
RESULTS_NAME = "results.csv"
SEARCH_NAME = "search.json"
# What describes one head and would be wrong for the next one in the same folder.
STALE_NAMES = (EVALUATION_NAME, CARD_NAME, REPORT_NAME)
# Every file that saving a run writes.
OWN_NAMES = {CONFIG_NAME, WEIGHTS_NAME, HISTORY_NAME, METRICS_NAME, FACES_NAME}
