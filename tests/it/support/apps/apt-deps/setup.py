from setuptools import Extension, setup

setup(ext_modules=[Extension("events", ["events.c"], libraries=["yaml"])], py_modules=[])
