"""Results that are computed once: `stores` keep them by what they depend on, `engines` say where units of work run.

`resumable` computes what is missing of a set of units, `netcdf` keeps tables of them. May import `_util` only: it
knows nothing of what is computed.
"""
