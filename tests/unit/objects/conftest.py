"""Examples take as long as a busy machine needs."""

from hypothesis import settings

settings.register_profile("objects", deadline=None)
settings.load_profile("objects")
