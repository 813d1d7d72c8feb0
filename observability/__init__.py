"""The followers: who else hears what a run says."""
