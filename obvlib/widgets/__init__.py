"""What people click, in a notebook or in the rendered book.

In: records and plans. Out: ipywidgets.
"""
