"""What is known not to come from a recipe alone: an entry goes once its result is made from nothing.

Only two kinds of complaint may be known: of a ``checkpoint`` or run that a command takes and that
neither the repository has nor the command makes, and of a ``remark`` in a header that says so.
"""

_CHECKPOINT = "began from a checkpoint that is not in this repository"
_SAYS_SO = "says that it began from a checkpoint, and what the recipe alone came to, without a result of that"
_RUNS = "names runs by folders that are not in this repository"
_TRAINED_APART = "names runs of recipes by folders; bench/README.md says which recipes they are"

_FROM_A_CHECKPOINT = (
    "lenet5_deep_int8/fashion_mnist",
    "mobilenet_int8/fashion_mnist",
    "squeezenet_deep_int8/fashion_mnist",
    "squeezenet_int8/fashion_mnist",
    "squeezenet_squeeze/fashion_mnist_96",
)
_OF_RUNS = (
    "coders",
    "coders_float",
    "decoded_files",
    "int8_peers/mobilenet_v2_fashion64",
    "int8_peers/squeezenet1_1_fashion64",
    "int8_table/mobilenet_v2_fashion64",
    "int8_table/squeezenet1_1_fashion64",
    "planted_faults",
    "rate_accuracy/alexnet_fashion96",
    "rate_accuracy/alexnet_fashion96_coarse",
)
_OF_RUNS_OF_RECIPES = (
    "autoencoders",
    "detection",
    "detection_cutouts",
    "one_shot/lenet300_100",
    "one_shot/lenet5",
    "one_shot/squeezenet1_1",
    "segmentation",
    "segmentation_cutouts",
)

KNOWN: dict[tuple[str, str], str] = {
    **{(f"bench/results/{folder}", "checkpoint"): _CHECKPOINT for folder in _FROM_A_CHECKPOINT},
    **{(f"recipes/{folder.split('/')[0]}.yaml", "remark"): _SAYS_SO for folder in _FROM_A_CHECKPOINT},
    **{
        (f"recipes/{recipe}.yaml", "checkpoint"): _CHECKPOINT
        for recipe in ("mobilenet_int8", "squeezenet_int8")
    },
    **{(f"bench/results/{folder}", "checkpoint"): _RUNS for folder in _OF_RUNS},
    **{(f"bench/results/{folder}", "checkpoint"): _TRAINED_APART for folder in _OF_RUNS_OF_RECIPES},
    (
        "bench/results/deep_compression_paper/fashion_mnist",
        "checkpoint",
    ): "began from the trained state of deep_compression, whose training is the same",
    ("recipes/deep_compression_paper.yaml", "remark"): "says so",
    (
        "recipes/deep_compression.yaml",
        "remark",
    ): "its model.sqz on fashion_mnist was coded before the range coder was the default",
}
"""Place and kind of a complaint, to the reason."""
