"""The two clients of an SDK of Alibaba Cloud, called alike: tests run once with each."""

import asyncio


class Plain:
    """Calls a method and waits for it."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Async:
    """Calls the async twin of a method and waits for it."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return lambda *arguments: asyncio.run(getattr(self.inner, name + "_async")(*arguments))
