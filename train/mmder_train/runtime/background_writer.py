"""Thread that writes files while training continues."""

import threading
from collections.abc import Callable


class BackgroundWriter:
    """One write at a time, in a thread. Its error is raised in the calling thread."""

    def __init__(self) -> None:
        """Create a writer without a write."""
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Call a function in a thread, and return at once.

        The write before must have ended; see `wait`.
        """

        def run() -> None:
            try:
                write()
            except BaseException as error:  # raised by `wait`
                self._error = error

        # Not a daemon: Python waits for the write before the process ends.
        self._thread = threading.Thread(target=run, name="checkpoint writer")
        self._thread.start()

    def check(self) -> None:
        """Raise the error of a write that has failed. This does not wait."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait for the write in progress, and raise its error if it fails."""
        self.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def join(self) -> None:
        """Wait for the write in progress. Its error is kept for `wait`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
