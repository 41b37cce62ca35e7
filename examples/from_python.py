"""A bundled recipe with other settings, run and read from Python.

python from_python.py [DIRECTORY]
"""

import sys
from pathlib import Path

from edgesqueeze import EdgeSqueezeError, compress, load_recipe, load_task, new_run

SETTINGS = [
    "task.data={named: mnist_sample, train_images: 1000}",
    "stages.train.epochs=2",
    "stages.prune.epochs=2",
    "stages.prune.sparsity=0.8",
    "stages.share.epochs=1",
    "references=[]",
]


def main(directory: Path) -> int:
    """Run the recipe and print the smallest file that lost no more than a point."""
    try:
        recipe = load_recipe("deep_compression", SETTINGS)
        task = load_task(recipe.task, recipe.seed)
        report = compress(recipe, task, new_run(recipe, directory))
    except EdgeSqueezeError as error:  # every error of ours, each one sentence
        sys.stderr.write(f"error: {error}\n")
        return 2
    files = [row for row in report.rows if row.num_bytes and row.path and row.label != report.baseline]
    good = [row for row in files if row.metric_change is not None and row.metric_change >= -0.01]
    if not good:
        sys.stdout.write("no file kept its accuracy to within a point\n")
        return 1
    smallest = min(good, key=lambda row: row.num_bytes or 0)
    sys.stdout.write(
        f"{smallest.label}: {smallest.num_bytes:,} bytes, {smallest.compression_ratio:.1f} times smaller, "
        f"{100 * (smallest.metric_change or 0):+.2f} points\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "out")))
