"""Backup and restore: the whole database and the files that it names, with a checksum for each table and file."""

FORMAT = 1
MANIFEST = "manifest.json"
LEFT_OUT = ("django_session",)  # whoever holds a backup must not be signed in by it


class BackupError(Exception):
    """A backup or a restore can't be done, or what came out is not what went in; the message is for people."""
