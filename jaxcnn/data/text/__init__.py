"""Images with text, and sequences.

A text is the field `text`, int32 (most,): k > 0 is the token classes[k - 1], and 0, which stands behind it, is nothing.
So the vocabulary is the classes of the set, which a run keeps in data.json.

A sequence is an image: a row a step, from the top; what is not there is zeros at the bottom.
"""
