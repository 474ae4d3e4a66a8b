"""Run, execute, check and publish the lessons: ``python -m m6rec_lite.course --help``."""
