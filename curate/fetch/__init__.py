"""Guarded downloads: the only code of this package that meets the web.

`client.Fetcher` is the public door: a loopback gateway of ours performs every fetch of a real URL,
and one img2dataset subprocess asks that gateway for the pictures of many shards.
"""
