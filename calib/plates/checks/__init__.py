"""The checks of ``calib.plates.design``: one idea in each module, which returns a table and findings."""
