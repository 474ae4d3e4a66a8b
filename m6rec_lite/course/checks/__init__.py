"""The checks of the exercises, one module a chapter: ``ch00``, ``ch01`` …"""
