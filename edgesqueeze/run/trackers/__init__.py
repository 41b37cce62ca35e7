"""Telling other programs of a run as it goes: TensorBoard and MLflow, extras imported when asked for."""

from edgesqueeze.run.trackers.opening import TrackerPlaces, check_trackers, open_trackers
from edgesqueeze.run.trackers.tracker import Tracker

__all__ = ["Tracker", "TrackerPlaces", "check_trackers", "open_trackers"]
