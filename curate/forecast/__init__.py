"""What a recipe will store, in which batches it encodes, how long that takes and what it costs.

Storage and batches follow from the recipe and its models' configs alone; times come from the last
`curate bench`. Nothing here loads a model or touches data.
"""
