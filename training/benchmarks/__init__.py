"""The project's promises in figures: one module, one benchmark; what they share lies in `rig`.

A benchmark's module opens with the sentence that the list shows, and has

    def arguments(parser: ArgumentParser) -> None           its own options
    def run(options: Mapping[str, Any], console: Console) -> dict[str, Any]
                                                            print a table, return the figures

`manage.py benchmark` finds it by its file name, in the package `benchmarks` of any app, and prints the figures as the
last line. It fails where they have something under `missed`: sentences on what is below its promise.
"""
