from setuptools import setup

setup(name="tides", version="1.0", py_modules=["tides"], install_requires=open("needs.txt").read().split())
