"""Real images and what is done to them along a basis (Sec. 4.2): `cifar`, `interventions`, `arms`, `class_energy`.

An arm says what is done to the training and to the test set; `class_energy` measures how much of what tells the classes
apart lies along leading NADs. May import the rooms above.
"""
