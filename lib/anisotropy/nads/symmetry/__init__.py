"""What an architecture's random networks treat alike: symmetries of the pixel grid (`spatial`), and `channels`.

Both are tested on weights and responses before an estimate uses them; `probing` is what the tests share. May import
`readouts` of the room around it, and `models`.
"""
