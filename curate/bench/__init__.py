"""`curate bench`: how fast encoders and pipeline are on this machine, beside each other.

Models of real size with random weights, made-up photographs and captions of real lengths; each
phase runs in a process of its own, so that none pays for another's memory.
"""
