# SPDX-License-Identifier: Apache-2.0
"""What a controller's operator would read in the log."""
import logging


class Warnings(logging.Handler):
    """Keeps the messages of warnings and worse until they are taken."""

    def __init__(self):
        super().__init__(level=logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def take(self):
        lines, self.lines = self.lines, []
        return lines
