"""Tables of trainings: `sweeps` over directions (Fig. 1, 2, 3, 6), `image_sweeps` over arms of images (Fig. 7, 8).

`units` says what one unit of a sweep over directions is and what its result depends on. `campaign` computes what the
record is to hold, `audit` computes lines of it again. `gallery` trains nothing: it measures what networks of today
answer to. May import the rooms above.
"""
