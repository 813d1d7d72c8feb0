"""The version of the SDK, as `started` tells it."""

VERSION = "1.0"
