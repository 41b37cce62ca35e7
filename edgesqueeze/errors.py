"""Every error edgesqueeze raises on purpose.

::

    EdgeSqueezeError
    ├── RecipeError            a recipe, flag or setting: where, what was found, what is allowed
    │   └── NoWeightLeftError  a price so high that a layer keeps no weight
    ├── TaskError              the model or the data cannot be loaded, or do not fit each other
    ├── UnsupportedLayerError  which layer, which operation, what to do instead
    ├── ExportError            a file could not be produced as asked
    │   └── ParityError        a file computes something else than the model it came from
    ├── CodecError             a tensor or graph cannot be coded as asked
    │   ├── CorruptFileError   the bytes are not what the format says
    │   └── UnsupportedVersionError
    ├── DeviceError            a device, real or emulated, cannot be reached or cannot run what it is given
    ├── OutputError            a directory or file cannot be written, or is in use
    │   └── ResumeError        a run cannot go on as it lies: which stage, why, how to redo it
    ├── CheckError             everything was written, but --strict does not accept what the checks found
    └── UnmetError             everything was written, but what a stage looked for was not found

The command line prints the message and exits with code 2, of an UnmetError with 3. Anything else that
escapes is a bug and keeps its traceback.
"""


class EdgeSqueezeError(Exception):
    """Base of all errors below; catching it catches everything raised on purpose."""


class RecipeError(EdgeSqueezeError):
    """A recipe, a flag or a setting is wrong; the message says where, what was found, what is allowed."""


class NoWeightLeftError(RecipeError):
    """A price is so high that a layer keeps no weight."""


class TaskError(EdgeSqueezeError):
    """A model, checkpoint or data set cannot be loaded, or they do not fit each other."""


class UnsupportedLayerError(EdgeSqueezeError):
    """A layer or operation that a stage or an export cannot treat; the message names the way out."""


class ExportError(EdgeSqueezeError):
    """A file could not be produced as asked."""


class ParityError(ExportError):
    """A file computes something else than the model it was written from."""


class CodecError(EdgeSqueezeError):
    """A tensor or a graph cannot be coded as asked."""


class CorruptFileError(CodecError):
    """The bytes of a file are not what its format says."""


class UnsupportedVersionError(CodecError):
    """The file was written by a format version this decoder does not know."""


class DeviceError(EdgeSqueezeError):
    """A device, real or emulated, cannot be reached, or cannot run what it is given."""


class OutputError(EdgeSqueezeError):
    """A directory or a file cannot be written, or another run is using it."""


class ResumeError(OutputError):
    """A stage of a run has changed, or what it was made from has; the message says how to redo it."""


class CheckError(EdgeSqueezeError):
    """A run has finished and checks of it have fired; the message names all of them."""


class UnmetError(EdgeSqueezeError):
    """A run has finished with files that are not what its recipe looked for; the message says what is."""
