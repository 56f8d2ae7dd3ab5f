"""A fourth task, for the test that one folder and one line suffice: how bright is an image?"""
