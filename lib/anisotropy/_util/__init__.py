"""What every room uses: `checks` of arguments, `files` that are there completely or not at all, `paths`, `provenance`,
worker `processes`, packages of the `extras`.

Private to the package. Nothing in it knows what a network or a direction is.
"""
